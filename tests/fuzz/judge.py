"""What may become of a call: right, refused in one plain sentence, or a finding."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mutspec.model.files.provenance_file import SUFFIX
from tests.fuzz.server import Limits, Outcome

SECRET_NAME = "MUTSPEC_FUZZ_SECRET"
SECRET = "s3cret-of-the-environment-5f0c"
"""In the environment of every call, and in none of its inputs."""
SECRET_FILE = "secret.txt"
SECRET_LINE = "s3cret-of-a-file-91ab"
"""In a file of the call's folder that no call names."""
CANARY = "canary"
"""A file that exists only if a call ran code of its inputs."""

_LONGEST_LINE = 2_000
TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^Exception ignored in|^Fatal Python error", re.MULTILINE)
_REPR = re.compile(r"<[\w. ]+ at 0x[0-9a-f]+>")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_OF_THE_MACHINE = re.compile(r"[Ff]ile too large|not enough memory|No space left")
"""What a refusal must not blame: in these tests the machine has room, and it is the input that asks for too much."""


class Verdict(StrEnum):
    """What became of a call."""

    RIGHT = "right"
    CHECK = "check 1"
    WRONG_INPUT = "refused 2"
    ENVIRONMENT = "refused 3"
    FINDING = "FINDING"


@dataclass(frozen=True)
class Rules:
    """What a call may do.

    Arguments:
        codes: the exit codes that it may have.
        output: the file or folder that it may write, and must where the exit code is 0; empty if there is none.
        writes_at: the exit codes with which it may write it.
        is_told_on_stdout: whether what is wrong is part of a document on standard output.
    """

    codes: tuple[int, ...] = (0, 2, 3)
    output: str = ""
    writes_at: tuple[int, ...] = (0, 1)
    is_told_on_stdout: bool = False


Digests = Mapping[str, str]
"""The SHA-256 of each file of a folder, by its path in it."""


def digests(folder: Path) -> Digests:
    """What is in a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink()
        else "no file"
        for path in sorted(folder.rglob("*"))
    }


def verdict_of(outcome: Outcome) -> Verdict:
    """The verdict where nothing is wrong."""
    known = {0: Verdict.RIGHT, 1: Verdict.CHECK, 2: Verdict.WRONG_INPUT, 3: Verdict.ENVIRONMENT}
    return known.get(outcome.code, Verdict.FINDING)


def faults_of(outcome: Outcome, rules: Rules, limits: Limits, before: Digests, after: Digests) -> Iterator[str]:
    """All that is wrong with how a call ended, what it said, and what it left; a short clause each."""
    if outcome.ended:
        yield outcome.ended
        return
    if outcome.code < 0:
        yield f"ended by signal {-outcome.code}"
    elif TRACEBACK.search(outcome.err):
        yield f"traceback: {raised_in(outcome.err)}"
    elif outcome.code not in rules.codes:
        yield f"exit code {outcome.code}"
    elif outcome.code:
        yield from _faults_of_refusal(outcome, rules)
    if outcome.seconds > limits.seconds:
        yield f"took over {limits.seconds:g} s"
    if outcome.megabytes > limits.megabytes:
        yield f"took over {limits.megabytes} MB of memory"
    if outcome.left:
        yield "left a process running"
    if _CONTROL.search(outcome.out) or _CONTROL.search(outcome.err):
        yield "printed control characters"
    if SECRET in outcome.out + outcome.err:
        yield "printed a value of the environment"
    if SECRET_LINE in outcome.out + outcome.err:
        yield "printed a file that it was not given"
    yield from _faults_of_files(outcome, rules, before, after)


def _faults_of_refusal(outcome: Outcome, rules: Rules) -> Iterator[str]:
    said = outcome.err.strip()
    if not said and outcome.code != 1 and not (rules.is_told_on_stdout and outcome.out):
        yield f"exit code {outcome.code} without a word"
    if max(map(len, said.splitlines()), default=0) > _LONGEST_LINE:
        yield f"a refusal with a line of over {_LONGEST_LINE:,} characters"
    if _REPR.search(said):
        yield "a refusal that shows Python's objects"
    if outcome.code == 3 and (blamed := _OF_THE_MACHINE.search(said)):
        yield f"blames the machine for the input: {blamed[0]}"


def _faults_of_files(outcome: Outcome, rules: Rules, before: Digests, after: Digests) -> Iterator[str]:
    if CANARY in after:
        yield "ran code of its inputs"
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    if changed:
        yield f"changed or removed {changed[0]}"
    may_write = bool(rules.output) and outcome.code in rules.writes_at
    new = sorted(after.keys() - before.keys() - {CANARY})
    outputs = {rules.output, f"{rules.output}{SUFFIX}"} if may_write else set()
    stray = [name for name in new if name.split("/")[0] not in outputs]
    if stray:
        yield f"wrote {re.sub('[0-9a-f]{8}', '#', stray[0])} with exit code {outcome.code}"
    if rules.output and outcome.code == 0 and rules.output not in after:
        yield "exit code 0 without an output"


def raised_in(text: str) -> str:
    """What a traceback ends with: the kind of error and where it came from, so that like ones are counted together."""
    lines = text.strip().splitlines()
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt|Bomb|Warning|Group)\b", line)]
    places = re.findall(r'File "(.*?)([^/"]+/[^/"]+\.py)", line \d+, in (\w+)', text)
    ours = [place for place in places if "/mutspec/" in place[0]] or places
    kind = (errors[-1] if errors else lines[-1]).partition(":")[0]
    return f"{kind} in {ours[-1][1]}:{ours[-1][2]}" if ours else kind
