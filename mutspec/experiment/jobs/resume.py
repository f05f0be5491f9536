"""Going on where a sweep was: a job whose folder has the result of the same inputs is not run again.

What was done is known from files alone, so it does not matter by which launcher, where, and how the sweep ended.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from msgspec import structs

from mutspec.errors import CallError, Place, Problem
from mutspec.experiment.jobs.recipes import shown
from mutspec.experiment.reports.aggregate import natural
from mutspec.experiment.result import FILE_NAME, JobInfo, Result, read
from mutspec.language.files import called_like
from mutspec.text import words

_HYDRAS = ".hydra"
"""The folder that Hydra writes into a job's own, each time that it begins the job."""
SWEEPS_FILE = "multirun.yaml"
"""The file that Hydra's own sweeper leaves in the folder of a sweep."""
_OVERRIDE = re.compile(r"\+{0,2}(resume|force)=")
_MOST_NAMED = 3


def without_resume(overrides: Iterable[str]) -> tuple[str, ...]:
    """Overrides but for `resume=…` and `force=…`, which say nothing about a job: its result is as if it ran at once."""
    return tuple(each for each in overrides if not _OVERRIDE.match(each))


# -- a job


def finished(folder: Path, inputs_digest: str, files: Iterable[str]) -> Result | None:
    """The result in a job's folder, if the job is done: with these inputs, without an error, and all is still there.

    Arguments:
        folder: of the job.
        inputs_digest: of the job as it would run now.
        files: what it leaves besides its result; the mutant, if there is one, is known from the result.
    """
    try:
        result = read(folder / FILE_NAME)
    except CallError:  # there is none, it is damaged, or of another mutspec
        return None
    if result.error is not None or result.inputs_digest != inputs_digest:
        return None
    saved = [] if result.output is None else [Path(result.output).name]
    return result if all((folder / name).is_file() for name in (*files, *saved)) else None


def labelled(result: Result, info: JobInfo, folder: Path) -> Result:
    """A job's result as that of the job which it is now: a sweep that has grown may count it otherwise.

    Its file is written again only if it has to be, and keeps its time, which is when the job ran.
    """
    output = None if result.output is None else shown(folder / Path(result.output).name)
    if structs.replace(info, call=result.job.call) == result.job:
        info = result.job  # it ran in the call that it says
    known = structs.replace(result, job=info, output=output)
    if known != result:
        status = (folder / FILE_NAME).stat()
        os.utime(known.write(folder), ns=(status.st_atime_ns, status.st_mtime_ns))
    return known


# -- a sweep


@dataclass(frozen=True)
class Before:
    """The content of the folder of a run or sweep when the call began.

    Arguments:
        folder: None if the call has got none yet.
        is_resumed: whether the call goes on in it.
        times: for each job that has left a result, when it left it, and when Hydra last began the job.
    """

    folder: Path | None = None
    is_resumed: bool = False
    times: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, *, is_resumed: bool) -> Before:
        """A folder as it is now."""
        return cls(folder.absolute(), is_resumed, dict(_times(folder)))

    def since(self) -> Since:
        """Returns what has happened to it."""
        times = {} if self.folder is None else dict(_times(self.folder))
        kept = {name: begun for name, (left, begun) in self.times.items() if times.get(name, (None,))[0] == left}
        foreign = {name for name, begun in kept.items() if begun is not None and times[name][1] == begun}
        done = tuple(times.keys() - foreign)
        return Since(self, done, len(kept) - len(foreign), tuple(sorted(foreign, key=natural)))


@dataclass(frozen=True)
class Since:
    """The work of a call in its folder.

    Arguments:
        before: the folder as it was.
        done: the folders of the jobs of the call that have left a result.
        kept: of how many of them it was there already; they were not run again.
        foreign: the folders of jobs that are none of the call's, and have results.
    """

    before: Before
    done: tuple[str, ...]
    kept: int
    foreign: tuple[str, ...]

    @property
    def how_to_go_on(self) -> str:
        """Returns how to continue an interrupted sweep; empty if no job is done."""
        number = len(self.done) + len(self.foreign)  # what seems foreign is what the call had not come to yet
        if not number or self.before.folder is None:
            return ""
        more = "" if self.before.is_resumed else f" with {written(Path(shown(self.before.folder)))}"
        return f"{words.plural(number, 'job')} {_verb(number)} done; the same call{more} goes on with the others"

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Warns that the report has results of jobs that are not in the sweep."""
        number = len(self.foreign)
        if not number or self.before.folder is None:
            return ()
        named = ", ".join(self.foreign[:_MOST_NAMED]) + (", …" if number > _MOST_NAMED else "")
        message = f"{words.plural(number, 'job')} of an earlier sweep {_verb(number)} in the report: {named}"
        hint = "to leave out a job, delete its folder"
        return (Problem(message, Place(shown(self.before.folder), 0, 0, 0), hint=hint, is_warning=True),)


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _times(folder: Path) -> Iterator[tuple[str, tuple[int, int | None]]]:
    for path in sorted(folder.glob(f"**/{FILE_NAME}")):
        left = _time(path)
        if left is not None:
            yield path.parent.relative_to(folder).as_posix(), (left, _time(path.parent / _HYDRAS / "config.yaml"))


def _time(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


# -- the folder


def folder_to_go_on_in(resume: bool | str, configured: Path, *, is_new: bool, is_sweep: bool) -> Path:
    """The folder of the run or sweep that a call goes on with.

    Arguments:
        resume: the folder; or true, for the one that is configured.
        configured: the folder that the configuration names.
        is_new: whether it names another one for each call.
        is_sweep: whether the call is a sweep.

    Raises:
        CallError: there is no such folder, no such run or sweep in it, or `true` stands for a new one.
    """
    what = "sweep" if is_sweep else "run"
    if resume is True:
        if is_new:
            message = f"`resume=true` has nothing to go on with: each {what} has a folder of its own"
            hint = f"name the folder by resume=DIR, or give all calls the same one by hydra.{what}.dir=DIR"
            latest = _latest(configured.parent, is_sweep=is_sweep)
            raise CallError(message, hint=hint, candidates=latest)
        if configured.is_dir():
            _refuse_links(configured)
        return configured
    folder = Path(str(resume))
    place = Place(str(folder), 0, 0, 0)
    if not folder.is_dir():
        raise CallError("there is no such folder", place=place, candidates=_siblings(folder))
    if not _was_run(folder, is_sweep=is_sweep):
        message = f"this is not the folder of a {what}"
        if _was_run(folder, is_sweep=not is_sweep):
            other = "it is that of a single run: leave out -m" if is_sweep else "it is that of a sweep: add -m"
            raise CallError(message, place=place, hint=other)
        raise CallError(message, place=place, candidates=_latest(folder, is_sweep=is_sweep))
    _refuse_links(folder)
    return folder


def _refuse_links(folder: Path) -> None:
    """Refuses a folder in which a job, or what Hydra writes of one, is a link: jobs would write to its target."""
    for each in (folder / _HYDRAS, *folder.iterdir(), *folder.glob(f"*/{_HYDRAS}")):
        if each.is_symlink() and each.is_dir():
            place = Place(str(each), 0, 0, 0)
            raise CallError("this is a link, and going on would write to where it leads", place=place)


def _siblings(folder: Path) -> tuple[str, ...]:
    return tuple(written(Path(each)) for each in called_like(folder, Path.is_dir))


def _latest(parent: Path, *, is_sweep: bool) -> tuple[str, ...]:
    """The overrides that go on with the latest runs or sweeps below a folder."""
    newest = sorted(_folders(parent), key=lambda each: _time(each) or 0, reverse=True)
    found = (each for each in newest if _was_run(each, is_sweep=is_sweep))
    return tuple(written(each) for each in islice(found, _MOST_NAMED))


def _folders(parent: Path) -> list[Path]:
    try:
        return [each for each in sorted(parent.iterdir()) if each.is_dir()]
    except OSError:
        return []


def _was_run(folder: Path, *, is_sweep: bool) -> bool:
    """Tells whether a folder is that of a single run, or of a sweep."""
    if not is_sweep:
        return (folder / _HYDRAS).is_dir()
    return (folder / SWEEPS_FILE).is_file() or any(_has_number(path) for path in folder.glob(f"*/{FILE_NAME}"))


def _has_number(path: Path) -> bool:
    """Tells whether a result is that of a job of a sweep. Not every sweeper leaves a file of the sweep."""
    with suppress(CallError):
        return read(path).job.number is not None
    return False


def written(folder: Path) -> str:
    """The override that goes on in a folder, as one types it in a shell."""
    text = str(folder)
    if re.fullmatch(r"[A-Za-z_./][\w./:%@+-]*", text, re.ASCII):
        return f"resume={text}"
    return shlex.quote('resume="{}"'.format(text.replace('"', '\\"')))  # Hydra's quotes within the shell's
