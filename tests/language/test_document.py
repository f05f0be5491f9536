"""YAML of every kind of dress and size."""

# ruff: noqa: E501 (a table to read down)

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mutspec.errors import PlanError
from mutspec.language import load_plan, load_text
from mutspec.language.document import parse
from mutspec.language.nodes import node_at, plain, span_at

HANGS = 30.0
"""Seconds of processor time that nothing here comes near. How fast things are is measured in benchmarks/."""

GOOD = "mutspec: 1\nname: gut\nsteps:\n  - op: zero\n    target: dense_é\n"


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\r").encode(),
        b"%YAML 1.1\n---\n" + GOOD.encode() + b"...\n",
    ],
    ids=["utf-8", "byte order mark", "CRLF", "CR", "directives"],
)
def test_the_dress_of_the_file_does_not_matter(data: bytes, tmp_path: Path, catalogue: Mapping[str, type[Any]]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(data)
    plan = load_plan(path, catalogue)
    assert plan.steps[0].target == "dense_é"
    assert plan.digest == load_text(GOOD, catalogue).digest


def test_places_are_right_after_windows_line_ends(catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError) as caught:
        load_text(GOOD.replace("\n", "\r\n") + "    stdd: 3\r\n", catalogue)
    place = caught.value.problems[0].place
    assert place is not None
    assert (place.line, place.column, place.text) == (6, 5, "    stdd: 3")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"mutspec: 1\nname: \xff\n", "0xff is not UTF-8"),
        (GOOD.encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "model file"),
        (b"\x89HDF\r\n\x1a\n", "model file"),
        (b"", "empty"),
    ],
)
def test_what_is_not_a_plan_is_named(
    data: bytes, words: str, tmp_path: Path, catalogue: Mapping[str, type[Any]]
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(data)
    with pytest.raises(PlanError, match=words) as caught:
        load_plan(path, catalogue)
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.file == str(path)


def test_a_byte_that_is_not_utf8_is_placed(tmp_path: Path, catalogue: Mapping[str, type[Any]]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes("mutspec: 1\nname: ä".encode() + b"\xff\n")
    with pytest.raises(PlanError) as caught:
        load_plan(path, catalogue)
    place = caught.value.problems[0].place
    assert place is not None
    assert (place.line, place.column) == (2, 8)


def test_a_missing_file_names_its_neighbours(tmp_path: Path, catalogue: Mapping[str, type[Any]]) -> None:
    (tmp_path / "plan.yaml").write_text(GOOD)
    with pytest.raises(PlanError, match="no such file") as caught:
        load_plan(tmp_path / "plna.yaml", catalogue)
    assert caught.value.problems[0].candidates == (str(tmp_path / "plan.yaml"),)


def test_a_folder_is_not_a_plan(tmp_path: Path, catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError, match="folder"):
        load_plan(tmp_path, catalogue)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tmp_path: Path, catalogue: Mapping[str, type[Any]]) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(path, catalogue)


def test_a_name_that_no_file_can_have_is_an_error(catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan("a\0b", catalogue)


def billion_laughs() -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines) + "\n"


QUOTED = "'${params.a}', "

HOSTILE = {
    "billion laughs": (billion_laughs(), "stand for more than"),
    "merged laughs": ("a0: &a0 {k: [1, 2, 3]}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9)), "stand for more than"),
    "deep lists": ("[" * 100_000, "deeper than"),
    "deep mappings": ("{a: " * 100_000, "deeper than"),
    "deep blocks": ("\n".join(" " * i + "-" for i in range(300)), "deeper than"),
    "deep by aliases": ("a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 100)), "deeper than"),
    "many interpolations": ("mutspec: 1\nparams: {a: b}\nsteps: [{op: zero, target: '" + "${params.a" * 20_000 + "'}]\n", "nest"),
    "swelling text": (f"mutspec: 1\nparams: {{a: '{'x' * 10_000}'}}\nsteps: [{{op: zero, target: '{'${params.a}' * 10_000}'}}]\n", "stand for more than"),
    "swelling lists": (f"mutspec: 1\nparams: {{a: [{'1, ' * 10_000}]}}\nmetadata: {{a: [{QUOTED * 10_000}]}}\nsteps: [{{op: zero, target: a}}]\n", "stand for more than"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_documents_are_refused_quickly(text: str, words: str, catalogue: Mapping[str, type[Any]]) -> None:
    start = time.process_time()
    with pytest.raises(PlanError, match=words):
        load_text(text, catalogue)
    assert time.process_time() - start < HANGS


def test_a_parameter_can_multiply_a_plan_only_by_its_own_size(catalogue: Mapping[str, type[Any]]) -> None:
    names = ", ".join(["'${params.a}'"] * 1000)
    text = f"mutspec: 1\nparams: {{a: '{'x' * 1000}'}}\nsteps: [{{op: zero, target: [{names}]}}]\n"
    assert len(load_text(text, catalogue).steps[0].target) == 1000


def test_anchors_aliases_and_merges_work_within_bounds() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{z: 1}, *a], x: 0}\n"
    assert plain(parse(text).root) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"z": 1, "x": 0, "y": 2},
    }


def test_every_value_and_key_knows_its_place() -> None:
    root = parse("a: 1\nb:\n  - {c: two, d: 'th''ree'}\n").root
    value, key = span_at(root, ("b", 0, "d")), span_at(root, ("b", 0, "d"), on_key=True)
    assert value is not None
    assert key is not None
    assert (value.line, value.column, value.end_column) == (3, 17, 26)
    assert (key.line, key.column, key.end_column) == (3, 14, 15)
    missing = span_at(root, ("b", 0, "nothing", "there"))
    assert missing is not None
    assert (missing.line, missing.column) == (3, 5)
    assert node_at(root, ("b", 7)) is None


def test_a_plan_of_a_thousand_steps_is_read(catalogue: Mapping[str, type[Any]]) -> None:
    steps = "".join(f"  - {{id: s{i}, op: gaussian_noise, target: d{i}, std: 0.1}}\n" for i in range(1000))
    start = time.process_time()
    assert len(load_text("mutspec: 1\nsteps:\n" + steps, catalogue).steps) == 1000
    assert time.process_time() - start < HANGS
