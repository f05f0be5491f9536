"""A case: files in a folder, and the calls that read them."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fuzz.judge import (
    CANARY,
    SECRET,
    SECRET_FILE,
    SECRET_LINE,
    Digests,
    Rules,
    Verdict,
    digests,
    faults_of,
    verdict_of,
)
from tests.fuzz.oracle import facts_of
from tests.fuzz.server import Limits, Outcome, Server

MUTSPEC = "mutspec.cli:main"
_READER_LIMITS = Limits(seconds=10, megabytes=1000)

DECOYS: Mapping[str, bytes] = {
    SECRET_FILE: f"{SECRET_LINE}\n".encode(),
    "canary_module.py": f"open({CANARY!r}, 'w').close()\n".encode(),
    "keras_hub.py": f"open({CANARY!r}, 'w').close()\n".encode(),
}
"""Files of every folder that no call names."""


@dataclass(frozen=True)
class Call:
    """A call, and what may become of it.

    Arguments:
        arguments: of the command line, or of another function.
        rules: what it may do.
        check: what is wrong with what it did, where its exit code is 0 or 1: a clause each.
        function: what is called.
    """

    arguments: tuple[str, ...]
    rules: Rules = field(default_factory=Rules)
    check: Callable[[Room, Outcome], Iterator[str]] | None = None
    function: str = MUTSPEC

    @property
    def name(self) -> str:
        """What findings call it: the command, and what it was asked to do."""
        if self.function != MUTSPEC:
            return self.function.rpartition(":")[2]
        words = [word for word in self.arguments[1:] if word in ("--dry-run", "-o", "--model", "--architecture", "-m")]
        return " ".join([self.arguments[0], *words])


@dataclass(frozen=True)
class Case:
    """Files by name, and calls, made one after the other in their folder.

    Arguments:
        files: the files.
        calls: the calls.
        refused_for: why all calls must refuse the input; empty if they need not.
        check: what is wrong with the outcomes of all calls together.
        kind: of the server that it needs.
        limits: of each call.
        ends_with: how many of the last calls are made where the first refuses its input, as the others would read it in
            the same way; None for all.
    """

    files: Mapping[str, bytes]
    calls: tuple[Call, ...]
    refused_for: str = ""
    check: Callable[[Mapping[str, Outcome]], Iterator[str]] | None = None
    kind: str = "plain"
    limits: Limits = field(default_factory=Limits)
    ends_with: int | None = None


@dataclass(frozen=True)
class Judged:
    """A call, what became of it, and all that is wrong with that."""

    call: Call
    outcome: Outcome
    verdict: Verdict
    faults: tuple[str, ...]


class Room:
    """The folder of a case, and readers that know nothing of mutspec."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self._server = server
        self._facts: dict[tuple[str, str, str], dict[str, Any]] = {}

    def facts(self, name: str, reader: str = "print_model") -> dict[str, Any]:
        """What an independent reader sees in a file or folder; nothing if it cannot read it."""
        path = self.folder / name
        digest = str(sorted(digests(path).items())) if path.is_dir() else digests(self.folder).get(name, "")
        key = name, reader, digest
        if key not in self._facts:
            outcome = self._server.call(f"tests.fuzz.oracle:{reader}", [name], self.folder, _READER_LIMITS)
            self._facts[key] = facts_of(outcome.out) if outcome.code == 0 else {}
        return self._facts[key]


def judged(case: Case, folder: Path, server: Server) -> Iterator[Judged]:
    """Make the calls of a case in a fresh folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in (DECOYS | dict(case.files)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    room = Room(folder, server)
    outcomes: dict[str, Outcome] = {}
    last: Judged | None = None
    calls = deque(case.calls)
    while calls:
        if last is not None:
            yield last
        call = calls.popleft()
        last = _judged(call, case, room, server)
        if not outcomes and case.ends_with is not None and last.outcome.code in (2, 3):
            calls = deque(case.calls[-case.ends_with :])
        outcomes[call.name] = last.outcome
    if last is not None:
        faults = tuple(case.check(outcomes)) if case.check is not None and not last.faults else ()
        yield replace(last, verdict=Verdict.FINDING, faults=faults) if faults else last


def _judged(call: Call, case: Case, room: Room, server: Server) -> Judged:
    before = digests(room.folder)
    outcome = server.call(call.function, call.arguments, room.folder, case.limits)
    after = digests(room.folder)
    faults = list(faults_of(outcome, call.rules, case.limits, before, after))
    faults += sorted(set(_leaks(room.folder, before, after)))
    if not faults and outcome.code in (0, 1):
        if case.refused_for:
            faults.append(f"accepts {case.refused_for}")
        elif call.check is not None:
            faults += call.check(room, outcome)
    _restore(room.folder, case, before, after)
    verdict = Verdict.FINDING if faults else verdict_of(outcome)
    return Judged(call, outcome, verdict, tuple(faults))


def _leaks(folder: Path, before: Digests, after: Digests) -> Iterator[str]:
    for name in after.keys() - before.keys():
        path = folder / name
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if SECRET.encode() in data or SECRET in name:
                yield "wrote a value of the environment"
            if SECRET_LINE.encode() in data:
                yield "wrote a file that it was not given"
        elif SECRET in name:
            yield "named a folder by a value of the environment"


def _restore(folder: Path, case: Case, before: Digests, after: Digests) -> None:
    """Make the folder as it was before a call, for the next one."""
    for name in sorted(after.keys() - before.keys(), reverse=True):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    originals = DECOYS | dict(case.files)
    for name in [name for name, digest in before.items() if after.get(name) != digest and name in originals]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(originals[name])
