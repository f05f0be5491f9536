"""`--update` writes the snapshots into test files, and nothing else of them changes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import yaml

from mutspec import CallError, EnvironmentProblem
from mutspec.execute import rewriting
from mutspec.language.files import read_text
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
    before = read_text(path)
    after = update_snapshots(path, before, found)
    assert after == read_text(path) != before
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
    after = read_text(path)
    assert update_snapshots(path, after, {0: FIRST, 2: SECOND}) == after
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
        ("- expect: {finite: weights}", "test 1 has no snapshot that can be updated"),
        ("- expect: {snapshot: }", "a snapshot inside { } cannot be updated"),
        ("- expect:\n    snapshot: &a {structure: x}\n    x-copy: *a", "without a change elsewhere"),
    ],
)
def test_a_snapshot_that_cannot_be_changed_alone_is_refused(tests: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(f"mutspec_test: 1\ntests:\n{tests}\n")
    before = path.read_text()
    with pytest.raises(CallError, match=words):
        update_snapshots(path, before, {0: SECOND})
    assert path.read_text() == before


def test_a_full_disk_leaves_the_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(TEXT)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rewriting, "write_at", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        update_snapshots(path, TEXT, {0: FIRST})
    assert path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.test.yaml").write_text(TEXT)
    (tmp_path / "a.test.yaml").symlink_to("real.test.yaml")
    update_snapshots(tmp_path / "a.test.yaml", TEXT, {0: FIRST})
    assert (tmp_path / "a.test.yaml").is_symlink()
    assert "12e4" in (tmp_path / "real.test.yaml").read_text()


@pytest.mark.parametrize("by_now", ["# another test\n" + TEXT, TEXT.replace("first", "last"), "\xff", None])
def test_a_file_that_has_changed_since_it_was_read_is_left_alone(by_now: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    if by_now is not None:
        path.write_text(by_now, encoding="latin-1" if by_now == "\xff" else "utf-8")
    before = [each.read_bytes() for each in tmp_path.iterdir()]
    with pytest.raises(CallError, match="has changed since it was read"):
        update_snapshots(path, TEXT, {0: FIRST})
    assert [each.read_bytes() for each in tmp_path.iterdir()] == before


def test_a_change_while_the_new_text_is_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text(TEXT)
    monkeypatch.setattr(rewriting, "write_at", lambda *_: path.write_text("mine"))
    with pytest.raises(CallError, match="has changed since it was read"):
        update_snapshots(path, TEXT, {0: FIRST})
    assert path.read_text() == "mine"
