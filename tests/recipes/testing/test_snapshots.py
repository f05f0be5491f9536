"""`--update` writes the snapshots into test files, and nothing else of them changes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import yaml

from mutspec import CallError, EnvironmentProblem
from mutspec.recipes.testing import snapshots
from mutspec.recipes.testing.document import Snapshot
from mutspec.recipes.testing.snapshots import update_snapshots

FIRST = Snapshot(structure="12e4", tensors={"dense/kernel": "float32 4×3 ab", "odd: [name]/bias": "float32 3 00"})
SECOND = Snapshot(structure="2", tensors={})
TEXT = """\
# a comment on top

mutspec_test:   1
tests:
  # about the first
  - name: first          # here too
    expect:
      snapshot:          # of old
        structure: "1"   # goes
        tensors:
          dense/kernel: "float32 4×3 xx"
      # about finite
      finite: weights


  - expect: {finite: weights}
    name: between
  -   name: second
      expect:
          finite:   weights
          snapshot: null
# the end
"""


def updated(path: Path, text: str, found: dict[int, Snapshot]) -> str:
    path.write_bytes(text.encode())
    assert update_snapshots(path, found)
    return path.read_bytes().decode()


def test_the_rest_of_the_file_stays_with_its_comments_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    text = updated(path, TEXT, {0: FIRST, 2: SECOND})
    before, after = TEXT.splitlines(), text.splitlines()
    assert after[:7] == before[:7]
    assert after[7:12] == [
        "      snapshot:",
        '        structure: "12e4"',
        "        tensors:",
        '          dense/kernel: "float32 4×3 ab"',
        '          "odd: [name]/bias": float32 3 00',
    ]
    assert after[12:21] == before[11:20]
    assert after[21:] == ["          snapshot:", '            structure: "2"', "            tensors: {}", "# the end"]
    document = yaml.safe_load(text)
    assert document["tests"][0]["expect"]["snapshot"]["structure"] == "12e4"
    assert not update_snapshots(path, {0: FIRST, 2: SECOND})
    assert list(tmp_path.iterdir()) == [path]


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    text = updated(tmp_path / "a.test.yaml", "\ufeff" + TEXT.replace("\n", "\r\n"), {0: FIRST})
    assert text.startswith("\ufeff# a comment")
    assert "\n" not in text.replace("\r\n", "")


def test_a_file_may_end_within_the_snapshot(tmp_path: Path) -> None:
    text = updated(tmp_path / "a.test.yaml", "mutspec_test: 1\ntests:\n- expect:\n    snapshot:", {0: SECOND})
    assert text.endswith('- expect:\n    snapshot:\n      structure: "2"\n      tensors: {}\n')


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("- expect: {snapshot: }", "a snapshot inside { } cannot be updated"),
        ("- expect:\n    snapshot: &a {structure: x}\n    x-copy: *a", "without a change elsewhere"),
    ],
)
def test_a_snapshot_that_cannot_be_changed_alone_is_refused(tests: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(f"mutspec_test: 1\ntests:\n{tests}\n")
    before = path.read_text()
    with pytest.raises(CallError, match=words):
        update_snapshots(path, {0: SECOND})
    assert path.read_text() == before


def test_a_full_disk_leaves_the_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(TEXT)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshots, "write_at", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        update_snapshots(path, {0: FIRST})
    assert path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.test.yaml").write_text(TEXT)
    (tmp_path / "a.test.yaml").symlink_to("real.test.yaml")
    update_snapshots(tmp_path / "a.test.yaml", {0: FIRST})
    assert (tmp_path / "a.test.yaml").is_symlink()
    assert "12e4" in (tmp_path / "real.test.yaml").read_text()
