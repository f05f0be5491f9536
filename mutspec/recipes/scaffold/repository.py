"""Writes the files of a new recipe repository into a folder: all of them, or none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mutspec.errors import CallError, EnvironmentProblem
from mutspec.execute.output import telling_written, write_problem
from mutspec.execute.temporary import temporary_name
from mutspec.interrupts import held_interrupts
from mutspec.recipes.lock_file import write_lock
from mutspec.recipes.locking import DEFAULTS, Files, make_lock, text_of
from mutspec.recipes.scaffold.content import LOCK, MODEL, RECIPE, contents
from mutspec.text.visible import in_one_line
from mutspec.text.words import listed

_LONGEST_NAME = 100
_EXISTS = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True)
class MadeRepository:
    """A repository that was made.

    Arguments:
        folder: where it is.
        files: the paths of its files in the folder, in alphabetical order.
    """

    folder: Path
    files: tuple[str, ...]


def make_repository(folder: Path, name: str = "") -> MadeRepository:
    """Makes a recipe repository: a recipe with its test and a model, a sweep, and the settings of tools around them.

    The files are written into a temporary folder first. A folder that does not exist yet gets its name at the end. Into
    one that exists the files are moved, each if nothing has its name; if one cannot be, those before it are removed.

    Arguments:
        folder: the folder; it may exist, and hold other files.
        name: the name of the repository; by default that of the folder.

    Raises:
        CallError: the folder cannot be made, or it holds one of the files; or the name is not a name.
        EnvironmentProblem: the disk is full, or does not allow writing.
    """
    made = contents(_checked_name(folder, name))
    paths = tuple(sorted((*made, LOCK)))
    _check_folder(folder, paths)
    with ExitStack() as stack:
        staging = stack.enter_context(_staging(folder))
        try:
            _write(staging, made)
            _lock(staging)
            with held_interrupts():
                _put_in_place(staging, folder, paths)
                stack.enter_context(telling_written(folder))
        except OSError as error:
            if error.errno in _EXISTS:
                raise CallError(f"{error.filename2 or folder} has come to exist", hint="nothing was written") from error
            raise write_problem(error, folder) from error
    return MadeRepository(folder, paths)


def _checked_name(folder: Path, name: str) -> str:
    name = name or folder.absolute().resolve().name
    if not name.strip() or len(name) > _LONGEST_NAME or in_one_line(name) != name:
        raise CallError(
            f"`{name[:_LONGEST_NAME]}` is not a name for a repository",
            hint=f"give up to {_LONGEST_NAME} visible characters by --name",
        )
    return name


def _check_folder(folder: Path, paths: Iterable[str]) -> None:
    """Refuses a folder in which not all files can be made."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise CallError(f"{folder} exists, and is not a folder", hint="give another name")
    if not folder.exists() and not folder.parent.is_dir():
        raise CallError(f"the folder {folder.parent} does not exist", hint=f"create it: mkdir -p {folder.parent}")
    found = [path for path in paths if os.path.lexists(folder / path)]
    parents = {str(parent) for path in paths for parent in Path(path).parents}
    found += [path for path in sorted(parents) if os.path.lexists(folder / path) and not (folder / path).is_dir()]
    if found:
        message = f"{folder} already has what a new repository begins with: {listed(found, 20)}"
        raise CallError(message, hint="nothing was written; give a new folder, or move these files away")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yields an empty folder on the file system of the one that is made, which is removed at the end if it is left."""
    staging = temporary_name(folder / folder.absolute().name if folder.exists() else folder)
    try:
        try:
            staging.mkdir()
        except OSError as error:
            raise EnvironmentProblem(f"cannot write into {staging.parent}: {error.strerror or error}") from error
        yield staging
    finally:
        with held_interrupts():
            shutil.rmtree(staging, ignore_errors=True)


def _write(folder: Path, made: Mapping[str, bytes]) -> None:
    for path, content in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _lock(folder: Path) -> None:
    """Locks the recipe on the model. The lock names the model as one that was made in the folder would."""
    recipe, path = folder / RECIPE, folder / LOCK
    made = make_lock(Files(recipe, folder / MODEL), path, (), DEFAULTS)
    name = os.path.relpath(folder / MODEL, path.parent).replace(os.sep, "/")
    write_lock(path, text_of(replace(made, model=replace(made.model, file=name)), path, recipe), force=False)


def _put_in_place(staging: Path, folder: Path, paths: Iterable[str]) -> None:
    """Gives all files their names. If one cannot get its name, those before it lose theirs."""
    if not folder.exists():
        staging.rename(folder)
        return
    done: list[Path] = []
    try:
        for path in paths:
            _make_folders(folder / path, folder, done)
            _give_name(staging / path, folder / path)
            done.append(folder / path)
    except BaseException:
        _take_back(done)
        raise


def _make_folders(path: Path, folder: Path, done: list[Path]) -> None:
    for parent in reversed(path.relative_to(folder).parents):
        if not (folder / parent).is_dir():
            (folder / parent).mkdir()
            done.append(folder / parent)


def _give_name(source: Path, target: Path) -> None:
    """Gives a file a name that nothing has: a link never replaces what has come to exist in the meantime."""
    try:
        os.link(source, target)
    except OSError as error:
        if isinstance(error, FileExistsError) or os.path.lexists(target):
            raise
        source.rename(target)  # the file system has no links


def _take_back(done: Iterable[Path]) -> None:
    for path in reversed(list(done)):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
