"""Faults at random points of calls that write: signals, and disks that are full.

After each one the output is whole or what was there before, inputs are as they were, nothing else is left, and the exit
code and one sentence say what happened. A killed call may leave one file, which the next call removes.

    python -m tests.fuzz.faults --points 200 --seed 1     # or: make faults POINTS=200
"""

from __future__ import annotations

import argparse
import ctypes
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random

from mutspec.model.files.provenance_file import SUFFIX
from tests.fuzz.__main__ import fast_folder, set_environment, table
from tests.fuzz.case import MUTSPEC
from tests.fuzz.judge import TRACEBACK, Digests, digests, raised_in
from tests.fuzz.server import MEGABYTE, Blow, Outcome, Server, with_keras, with_pictures, without_keras
from tests.fuzz.subjects import SLOW, SUBJECTS, Subject, is_whole, write_inputs

_TEMPORARY = re.compile(r"(?:^|/)\.[^/]*mutspec[^/]*")
"""What everyone can tell is a temporary file or folder of ours."""
_OF_HYDRA = (".log", ".yaml", "/error.json")
"""What runs leave too, and what they leave when they fail."""
_NEW_NAMESPACE = 0x20000


class Fault(StrEnum):
    """What happens to a call."""

    KILLED = "SIGKILL"
    TERMINATED = "SIGTERM"
    INTERRUPTED = "SIGINT"
    FULL_DISK = "disk full"
    FULL_TEMPORARY = "TMPDIR full"
    FILE_LIMIT = "file limit"


SIGNALS = {Fault.KILLED: signal.SIGKILL, Fault.TERMINATED: signal.SIGTERM, Fault.INTERRUPTED: signal.SIGINT}
CODES = {
    Fault.KILLED: (-signal.SIGKILL,),
    Fault.TERMINATED: (143, -signal.SIGTERM),
    Fault.INTERRUPTED: (130,),
    Fault.FULL_DISK: (3,),
    Fault.FULL_TEMPORARY: (3,),
    Fault.FILE_LIMIT: (3,),
}
"""The exit codes of calls that did not end before the fault."""


@dataclass(frozen=True)
class Undisturbed:
    """A call without a fault.

    Arguments:
        files: what it writes.
        unsteady: those that are not the same twice.
        seconds: how long it takes.
        bytes: how much room its output needs.
    """

    files: Digests
    unsteady: frozenset[str]
    seconds: float
    bytes: int


class Bench:
    """A folder with inputs, and in it the folder `disk`, for outputs."""

    def __init__(self, folder: Path, servers: Mapping[str, Server], *, mounts: bool) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.temporary = folder.parent / "tmp"
        self.disk.mkdir()
        self.mounts = mounts
        self._servers = servers
        self._known: dict[Subject, Undisturbed] = {}
        self._inputs = self._digests_of_inputs()

    def call(self, subject: Subject, blow: Blow | None = None, megabytes: float | None = None) -> Outcome:
        limits = SLOW if megabytes is None else replace(SLOW, written=megabytes)
        outcome = self._servers[subject.kind].call(MUTSPEC, subject.arguments, self.folder, limits, blow)
        return replace(outcome, code=0) if outcome.code == subject.done else outcome

    def undisturbed(self, subject: Subject) -> Undisturbed:
        """What a call does when nothing happens to it."""
        if subject not in self._known:
            seen = []
            for _ in range(2):
                self.clear()
                outcome = self.call(subject)
                assert outcome.code == 0, outcome.err
                seen.append(self.files())
            unsteady = frozenset(name for name in seen[0] if seen[0][name] != seen[1].get(name) and "/." not in name)
            size = sum(path.stat().st_size for path in self.disk.rglob("*") if path.is_file())
            self._known[subject] = Undisturbed(seen[0], unsteady, outcome.wall, size)
            self.clear()
        return self._known[subject]

    def files(self) -> Digests:
        """What is on the disk, without folders and what Hydra keeps."""
        found = digests(self.disk)
        return {name: digest for name, digest in found.items() if digest != "no file" and ".hydra/" not in name}

    def temporaries(self) -> list[str]:
        """The temporary files and folders that are left: of those within one another, the outermost."""
        found = {match[0] for name in digests(self.disk) if (match := _TEMPORARY.search(name))}
        in_folder = (path for path in self.temporary.iterdir() if not _is_empty(path))  # Keras leaves empty folders
        return sorted(found | {f"$TMPDIR/{path.name}" for path in in_folder})

    def changed_inputs(self) -> list[str]:
        now = self._digests_of_inputs()
        return [name for name, digest in self._inputs.items() if now.get(name) != digest] + sorted(
            now.keys() - self._inputs
        )

    def _digests_of_inputs(self) -> dict[str, str]:
        return {name: digest for name, digest in digests(self.folder).items() if name.split("/")[0] != "disk"}

    def clear(self) -> None:
        for folder in (self.disk, self.temporary):
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()

    @contextmanager
    def small(self, folder: Path, size: int) -> Iterator[None]:
        """A folder on a disk of its own, of some bytes."""
        kilobytes = max(4, size // 1024)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(each.is_file() for each in path.rglob("*"))


def inject(bench: Bench, subject: Subject, fault: Fault, random: Random) -> tuple[str, list[str]]:
    """Disturb a call once: what became of it, and all that is wrong with that."""
    undisturbed = bench.undisturbed(subject)
    replaces = "--force" in subject.arguments and random.random() < 0.5
    old = b"a good file that was here before" * random.choice((1, 1000)) if replaces else b""
    bench.clear()
    if fault in SIGNALS:
        _put(bench, subject, old)
        blow = Blow(SIGNALS[fault], random.uniform(0, 1.1) * undisturbed.seconds)
        return _judge(bench, subject, fault, bench.call(subject, blow), old)
    if fault is Fault.FILE_LIMIT:
        _put(bench, subject, old)
        outcome = bench.call(subject, megabytes=_room(random, undisturbed.bytes, 1) / MEGABYTE)
        return _judge(bench, subject, fault, outcome, old)
    where = bench.disk if fault is Fault.FULL_DISK else bench.temporary
    # Where Keras builds the mutant, its file and ours are there at one time.
    room = _room(random, undisturbed.bytes, 2 if subject.kind == "keras" else 1)
    with bench.small(where, len(old) + 8192 + room):
        _put(bench, subject, old)
        return _judge(bench, subject, fault, bench.call(subject), old)


def _room(random: Random, needed: int, copies: int) -> int:
    """Some bytes: anything up to more than are needed, or nearly as many, so that the last writes fail."""
    if random.random() < 0.5:
        return int(random.uniform(0, 1.2) * needed * copies)
    return int(random.uniform(0.95, 1.01) * needed * random.randint(1, copies))


def _put(bench: Bench, subject: Subject, old: bytes) -> None:
    if old:
        (bench.folder / subject.output).write_bytes(old)


def _judge(bench: Bench, subject: Subject, fault: Fault, outcome: Outcome, old: bytes) -> tuple[str, list[str]]:
    became = "done" if outcome.code == 0 else "ended"
    wrong = list(_wrong_with_code(fault, outcome))
    wrong += _wrong_with_files(bench, subject, outcome, old)
    left = bench.temporaries()
    if fault is Fault.KILLED:
        wrong += _wrong_after_kill(bench, subject, left)
    elif left:
        wrong.append(f"{_kind(left[0])} is left")
    wrong += [f"changed the input {name}" for name in bench.changed_inputs()]
    return became, wrong


def _kind(temporary: str) -> str:
    """A temporary file's name without what is random in it."""
    return re.sub(r"[0-9a-z_]{8,}", "#", temporary)


def _wrong_with_code(fault: Fault, outcome: Outcome) -> Iterator[str]:
    if outcome.ended:
        yield outcome.ended
    elif outcome.code and outcome.code not in CODES[fault]:
        yield f"exit code {outcome.code}"
    if TRACEBACK.search(outcome.err):
        yield f"traceback: {raised_in(outcome.err)}"
    if outcome.code > 0 and fault is not Fault.KILLED and not outcome.err.strip():  # else Python did not begin yet
        yield "not a word"


def _wrong_with_files(bench: Bench, subject: Subject, outcome: Outcome, old: bytes) -> Iterator[str]:
    undisturbed = bench.undisturbed(subject)
    files = {name: digest for name, digest in bench.files().items() if not _TEMPORARY.search(name)}
    output = bench.folder / subject.output
    if outcome.code in (1, 2, 3) and output.is_file() and output.read_bytes() != old:
        yield f"exit code {outcome.code} with an output"
    if old and outcome.code and output.is_file() and output.read_bytes() == old:
        return
    if old and not output.exists():
        yield "the file that was there is gone"
    for name, digest in files.items():
        if name not in undisturbed.files:
            if not name.endswith(_OF_HYDRA):
                yield f"wrote {name}"
        elif name in undisturbed.unsteady:
            if not is_whole(bench.disk / name):
                yield f"half of {name}"
        elif digest != undisturbed.files[name]:
            yield f"half of {name}"
    if outcome.code == 0 and (missing := undisturbed.files.keys() - files.keys()):
        yield f"exit code 0 without {min(missing)}"


def _wrong_after_kill(bench: Bench, subject: Subject, left: list[str]) -> Iterator[str]:
    """What a killed call leaves; and what is there after the same call has run to its end."""
    if len([name for name in left if SUFFIX not in name]) > 1:  # a side-car may leave one of its own
        yield "more than one temporary file is left"
    if left:
        again = bench.call(subject)
        if again.code:
            yield f"exit code {again.code} when called again"
        if [name for name in bench.temporaries() if name not in again.err]:
            yield f"{_kind(left[0])} is not removed, nor named, by the next call"


# -- the command


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, default=200, help="of each fault [default: 200]")
    parser.add_argument("--seed", type=int, default=1, help="of the points [default: 1]")
    parser.add_argument(
        "--subjects", default="", help="only those whose names begin with one of these, after semicolons"
    )
    options = parser.parse_args()
    chosen = [each for each in SUBJECTS if each.name.startswith(tuple(options.subjects.split(";")))]
    if not chosen:
        parser.error(f"there are {'; '.join(each.name for each in SUBJECTS)}")
    mounts = may_mount()
    with benches(chosen, mounts=mounts) as bench:
        return _inject_all(bench, chosen, options.points, options.seed)


@contextmanager
def benches(subjects: Sequence[Subject], *, mounts: bool) -> Iterator[Bench]:
    """A bench with the inputs of some calls, for as long as it is needed."""
    servers = {"plain": Server(without_keras), "pictures": Server(with_pictures), "keras": Server(with_keras)}
    with tempfile.TemporaryDirectory(prefix="mutspec-faults-", dir=fast_folder()) as scratch:
        set_environment(Path(scratch))
        folder = Path(scratch) / "work"
        folder.mkdir()
        try:
            write_inputs(folder, servers, subjects)
            yield Bench(folder, servers, mounts=mounts)
        finally:
            for server in servers.values():
                server.stop()


def may_mount() -> bool:
    """Whether disks can be made: in a namespace of our own, so that none outlives this process."""
    with suppress(OSError, subprocess.CalledProcessError, AttributeError):
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NAMESPACE) == 0:
            subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
            return True
    return False


def faults(*, mounts: bool) -> tuple[Fault, ...]:
    """The faults that can be injected here."""
    disks = (Fault.FULL_DISK, Fault.FULL_TEMPORARY) if mounts else ()
    return (*SIGNALS, *disks, Fault.FILE_LIMIT)


def _inject_all(bench: Bench, subjects: list[Subject], points: int, seed: int) -> int:
    began = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()
    wrong: dict[str, list[str]] = defaultdict(list)
    for fault in faults(mounts=bench.mounts):
        for number in range(points if fault is not Fault.FULL_TEMPORARY else max(1, points // 5)):
            random = Random(f"{seed}:{fault}:{number}")
            subject = random.choices(subjects, [each.share for each in subjects])[0]
            became, found = inject(bench, subject, fault, random)
            counts[subject.name, f"{fault}: {'WRONG' if found else became}"] += 1
            for each in found:
                wrong[f"{fault}, {subject.name}: {each}"].append(str(number))
                if len(wrong[f"{fault}, {subject.name}: {each}"]) == 1:
                    print(f"WRONG {fault}, {subject.name}: {each}", flush=True)
    print(_counts(counts, subjects, faults(mounts=bench.mounts)))
    print(f"seed {seed}, {time.monotonic() - began:.0f} s; each cell: called through, ended early as promised, WRONG")
    if not bench.mounts:
        print("no disks were made: it needs root")
    for each, numbers in sorted(wrong.items(), key=lambda item: -len(item[1])):
        print(f"{len(numbers):5}  {each}")
    return int(bool(wrong))


def _counts(counts: Counter[tuple[str, str]], subjects: list[Subject], kinds: tuple[Fault, ...]) -> str:
    rows = [
        [
            subject.name,
            *(
                " / ".join(str(counts[subject.name, f"{fault}: {what}"]) for what in ("done", "ended", "WRONG"))
                for fault in kinds
            ),
        ]
        for subject in subjects
    ]
    return table(["subject", *kinds], rows)


if __name__ == "__main__":
    sys.exit(main())
