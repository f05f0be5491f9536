"""Snapshots of what plans make: digests, compared, and written into test files by `mutspec test --update`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mutspec.access.fingerprint import fingerprints_of_tensors
from mutspec.errors import CallError, Place, PlanError, Problem
from mutspec.execute.rewriting import rewrite
from mutspec.language.document import parse
from mutspec.language.nodes import Node, SourceSpan, Table, node_at, plain
from mutspec.model.files.archive import Archive
from mutspec.recipes.testing.document import Snapshot
from mutspec.show.diff import DiffReport, TensorStatus
from mutspec.text.words import flow, listed


def snapshot_of(mutant: Archive, difference: DiffReport) -> Snapshot:
    """Returns the snapshot of a mutant: the digest of its structure, and those of the weights that differ."""
    names = {(each.layer, each.weight) for each in difference.tensors if each.status is not TensorStatus.REMOVED}
    paths = {tensor.path for tensor in mutant.spec.tensors if (tensor.layer, tensor.role) in names}
    return Snapshot(structure=mutant.spec.structure_digest, tensors=fingerprints_of_tensors(mutant, paths))


def snapshot_problems(expected: Snapshot, found: Snapshot) -> Iterator[Problem]:
    """Yields what differs from a snapshot; paths begin at it."""
    hint = "if this is meant: `mutspec test --update`"
    if expected.structure != found.structure:
        message = f"expected the structure {expected.structure}, found {found.structure}"
        yield Problem(message, path=("structure",), hint=hint)
    for path, digest in expected.tensors.items():
        if path not in found.tensors:
            message = f"expected `{path}` to differ from the model's, but it does not, or is not there"
            yield Problem(message, path=("tensors", path), hint=hint)
        elif found.tensors[path] != digest:
            yield Problem(f"expected {digest}, found {found.tensors[path]}", path=("tensors", path), hint=hint)
    if others := [path for path in found.tensors if path not in expected.tensors]:
        yield Problem(f"did not expect to differ from the model's: {listed(others)}", path=("tensors",), hint=hint)


def update_snapshots(path: Path, text: str, snapshots: Mapping[int, Snapshot]) -> str:
    """Writes snapshots into a test file, and leaves everything else in it as it is: comments, order, spaces.

    Arguments:
        path: the test file.
        text: its text when the tests were read, by which they have their numbers.
        snapshots: the snapshots, by the number of the test.

    Returns:
        The text that it has now.

    Raises:
        CallError: a snapshot is inside `{ }` or comes from elsewhere, so that it has no lines of its own; or the file
            has changed since it was read.
        EnvironmentProblem: the file cannot be written.
    """
    before = parse(text, str(path)).root
    lines = text.splitlines(keepends=True)
    for number in sorted(snapshots, reverse=True):
        _put(lines, _key_of(before, number, path), snapshots[number])
    changed = "".join(lines)
    if not _only_these_differ(plain(before), changed, snapshots):
        place = Place(str(path), 0, 0, 0)
        hint = "write the snapshot without anchors and aliases"
        raise CallError("a snapshot cannot be updated without a change elsewhere in the file", place=place, hint=hint)
    if changed == text:
        return text
    rewrite(path, text, changed)
    return changed


def _key_of(root: Node, number: int, path: Path) -> SourceSpan:
    """Returns the place of the key `snapshot` of a test.

    Raises:
        CallError: it has no place, or is inside `{ }`.
    """
    expect = node_at(root, ("tests", number, "expect"))
    span = expect.keys.get("snapshot") if isinstance(expect, Table) else None
    if span is None:
        place = Place(str(path), 0, 0, 0)
        raise CallError(f"test {number + 1} has no snapshot that can be updated", place=place)
    line = span.source.lines[span.line - 1]
    if line[: span.column - 1].strip(" "):
        hint = "write `snapshot:` on a line of its own"
        raise CallError("a snapshot inside { } cannot be updated", place=span.place(), hint=hint)
    return span


def _put(lines: list[str], key: SourceSpan, snapshot: Snapshot) -> None:
    """Replaces the lines of a snapshot: that of its key, and those below it that are further to the right."""
    indent, end = key.column - 1, key.line
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
    while end > key.line and (not (last := lines[end - 1].strip()) or last.startswith("#")):  # what is after it stays
        end -= 1
    ending = "\r\n" if lines[key.line - 1].endswith("\r\n") else "\n"
    lines[key.line - 1 : end] = [f"{' ' * indent}{line}{ending}" for line in _written(snapshot)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _written(snapshot: Snapshot) -> Iterator[str]:
    yield "snapshot:"
    yield f'  structure: "{snapshot.structure}"'
    yield "  tensors:" if snapshot.tensors else "  tensors: {}"
    for path, digest in snapshot.tensors.items():
        yield f"    {flow(path)}: {flow(digest)}"


def _only_these_differ(before: Any, changed: str, snapshots: Mapping[int, Snapshot]) -> bool:
    """Returns whether a text holds the new snapshots, and else what the file held before."""
    try:
        after = plain(parse(changed).root)
    except PlanError:  # an alias of an anchor in a snapshot
        return False
    for number, snapshot in snapshots.items():
        before["tests"][number]["expect"]["snapshot"] = msgspec.to_builtins(snapshot)
    return bool(before == after)
