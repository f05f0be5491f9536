"""Where locks, plans and models are: their names beside each other, and models found by what they are.

A lock may be written by anyone, so it opens nothing outside the folder of the call and its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from mutspec.access.fingerprint import fingerprint
from mutspec.documents_beside import LOCK_SUFFIX, files_below
from mutspec.errors import CallError, ModelError, MutspecError, Place
from mutspec.language.files import is_inside
from mutspec.model.files.formats import FORMATS
from mutspec.model.files.opening import open_archive, open_beside
from mutspec.model.spec import ModelSpec
from mutspec.recipes.lock_document import LockedModel, written_name
from mutspec.recipes.lock_file import read_lock
from mutspec.recipes.model_meaning import in_lock, layers_of, ports_of
from mutspec.text.words import listed_plainly, plural

_MOST_MODELS = 200
"""The most model files that are looked at to find a moved one."""
_MOST_LOCKS = 10_000
"""The most locks of one folder."""
_DEPTH = 3
"""How many folders below a folder a moved model is looked for."""


def is_lock_name(path: Path) -> bool:
    """Returns whether a file's name is that of a lock."""
    return path.name.endswith(LOCK_SUFFIX)


def default_lock(plan: Path) -> Path:
    """Returns the lock beside a plan."""
    stem = plan.name.removesuffix(".yaml").removesuffix(".yml")
    return plan.with_name(f"{stem}{LOCK_SUFFIX}")


def locks_of(plan: Path) -> list[Path]:
    """Returns the locks beside a plan: `PLAN.lock.yaml`, and `PLAN.<any>.lock.yaml` for other models."""
    own = default_lock(plan)
    try:
        names = sorted(entry.name for entry in own.parent.iterdir())
    except OSError:
        names = []
    stem = own.name.removesuffix(LOCK_SUFFIX)
    stems = [name.removesuffix(LOCK_SUFFIX) for name in names if name.endswith(LOCK_SUFFIX)]
    plans = {name.removesuffix(suffix) for name in names for suffix in (".yaml", ".yml") if name.endswith(suffix)}
    others = [each for each in stems if each.startswith(f"{stem}.") and each not in plans]
    return [own.with_name(f"{each}{LOCK_SUFFIX}") for each in ([stem] if stem in stems else []) + others]


def locks_at(path: Path) -> list[Path]:
    """Returns the locks that a path of a call means: itself, those beside a plan, or all in a folder.

    Raises:
        CallError: there are none.
    """
    if path.is_dir():
        found = list(_locks_below(path))
        if not found:
            hint = "`mutspec lock PLAN MODEL` makes one"
            raise CallError(f"there are no locks in {_shown_folder(path)}", hint=hint)
        return found
    if is_lock_name(path):
        return [path]
    if not _may_have_locks(path):
        raise CallError(
            f"{path} is not a lock", hint=f"name a {LOCK_SUFFIX}, a plan that has one beside it, or a folder"
        )
    if not (found := locks_of(path)):
        hint = f"`mutspec lock {path} MODEL` makes one"
        raise CallError(f"there is no lock beside {path}", hint=hint)
    for lock in found:
        if (name := _plan_of(lock)) and path.is_file() and _located(lock.parent / name) != _located(path):
            hint = f"name a lock; to make one of this plan: mutspec lock {path} MODEL -o OTHER{LOCK_SUFFIX}"
            raise CallError(f"{lock} is not a lock of {path}, but of `{name}`", hint=hint)
    return found


def _plan_of(lock: Path) -> str:
    """Returns the plan of a lock, as the lock names it; empty if the lock cannot be read, which is told later."""
    try:
        return read_lock(lock).lock.plan.file
    except MutspecError:
        return ""


def _may_have_locks(path: Path) -> bool:
    """Returns whether a path is a folder, or its name may be that of a lock or a plan."""
    return path.is_dir() or path.suffix in ("", ".yaml", ".yml")


def has_locks(path: Path) -> bool:
    """Returns whether a path is a folder or a lock, or a plan with a lock beside it."""
    return path.is_dir() or is_lock_name(path) or (_may_have_locks(path) and bool(locks_of(path)))


def _shown_folder(path: Path) -> str:
    return "the current folder" if str(path) == "." else str(path)


def _locks_below(folder: Path) -> Iterator[Path]:
    """Yields the locks in a folder and in those below it, except hidden ones, sorted by name."""
    found = files_below(folder, lambda path: is_lock_name(path) and not path.name.startswith("."))
    for number, path in enumerate(found):
        if number == _MOST_LOCKS:
            raise CallError(f"there are more than {_MOST_LOCKS:,} locks in {folder}", hint="name a part of it")
        yield path


# -- files as locks name them


def name_in_lock(file: Path, lock: Path) -> str:
    """Returns how a lock names a file: relative to the lock; only its name if it is in neither folder.

    So no lock has the folders of a machine in it.

    Raises:
        CallError: the name cannot be written in a lock.
    """
    located = _located(file)
    is_near = is_inside(located.parent, _folders(lock))
    name = os.path.relpath(located, _located(lock).parent) if is_near else file.name
    if written_name(name).replace("%25", "%") != name:
        raise CallError(
            f"a lock cannot name the file {file}", hint="rename it: a lock takes no control characters and no `${`"
        )
    return name.replace(os.sep, "/")


def refuse_plan_elsewhere(plan: Path, lock: Path) -> None:
    """Refuses a plan to which its lock could not lead: no option of `verify` names the plan.

    Raises:
        CallError: it is neither below the lock's folder nor below the current one.
    """
    if not is_inside(plan, _folders(lock)):
        message = f"the lock {lock} cannot name the plan {plan}, which is outside of its folder and of the current one"
        raise CallError(message, hint=f"put the lock beside the plan: -o {plan.with_name(lock.name)}")


def way_to(lock: Path, names: Iterable[str]) -> Path:
    """Returns the path of a lock from the nearest folder that holds it and all files that it names."""
    above = max(name.split("/").count("..") for name in names)  # names begin with all of theirs
    return Path(*_located(lock).parts[-above - 1 :])


def file_of(name: str, lock: Path, what: str, hint: str = "call from a folder that holds both") -> Path:
    """Returns the file that a lock names.

    Arguments:
        name: what the lock calls it.
        lock: the lock's file.
        what: what to call the file in messages.
        hint: what to do if it is elsewhere.

    Raises:
        CallError: it is neither below the lock's folder nor below the current one, or a link that leads out of them, or
            a pipe or a device.
    """
    path = _located(lock).parent / name
    if Path(name).is_absolute() or not is_inside(path, _folders(lock)):
        message = f"the lock names {what} outside of its folder and of the current one: {name}"
        raise CallError(message, place=Place(str(lock), 0, 0, 0), hint=hint)
    if os.path.lexists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise CallError(
            f"the lock names {what} {name}, which is not a file", place=Place(str(lock), 0, 0, 0), hint=hint
        )
    shown = Path(os.path.normpath(lock.parent / name))
    return shown if _located(shown) == _located(path) else path


def _located(path: Path) -> Path:
    """Returns a path from the root, without links to folders. If the file is a link, it stays."""
    return Path(os.path.realpath(path.parent), path.name)


def _folders(lock: Path) -> tuple[Path, Path]:
    """Returns the folders in which a lock may open files."""
    return lock.parent, Path()


# -- models


@dataclass(frozen=True)
class FoundModel:
    """A model file that a lock is of.

    Arguments:
        path: the file.
        is_moved: whether it was found by its fingerprint, as it is not where the lock says.
    """

    path: Path
    is_moved: bool = False


def find_model(locked: LockedModel, lock: Path, plan: Path, what: str, hint: str) -> FoundModel:
    """Finds the file of a model: where the lock says, or by its fingerprint, near the lock, the plan and the call.

    Arguments:
        locked: the model, as the lock has it.
        lock: the lock's file.
        plan: the plan's file.
        what: what to call the model in messages.
        hint: how the call can give it.

    Raises:
        CallError: the lock names a file elsewhere.
        ModelError: there is no such model.
    """
    named = file_of(locked.file, lock, what, hint)
    if os.path.lexists(named):
        return FoundModel(named)
    folders = dict.fromkeys(Path(os.path.normpath(each)) for each in (lock.parent, plan.parent, Path()))
    architecture = None if locked.architecture is UNSET else file_of(locked.architecture, lock, what, hint)
    found = [path for path in _models_in(list(folders)) if is_inside(path, folders)]  # and no link that leads elsewhere
    for path in sorted(found, key=lambda path: path.name != named.name):  # a copy under another name comes last
        if _is_it(path, architecture, locked):
            return FoundModel(path, is_moved=True)
    places = listed_plainly([_shown_folder(each) for each in folders])
    others = f"none of {plural(len(found), 'model file')}" if found else "no model file"
    raise ModelError(f"{what} {named} is missing, and {others} in {places} has its fingerprint", hint=hint)


def _models_in(folders: Sequence[Path]) -> Iterator[Path]:
    """Yields the model files in some folders and a few levels below, nearest first, by their names alone."""
    suffixes = tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)
    seen: dict[Path, None] = {}
    for folder in folders:
        depth_above = len(folder.parts)
        for name, below, files in os.walk(folder):
            here = Path(name)
            below[:] = sorted(each for each in below if not each.startswith("."))
            if len(here.parts) - depth_above >= _DEPTH:
                below.clear()
            for each in sorted(files):
                real = _located(here / each)
                if each.endswith(suffixes) and not each.startswith(".") and real not in seen:
                    seen[real] = None
                    if len(seen) > _MOST_MODELS:
                        return
                    yield here / each


def is_like(spec: ModelSpec, locked: LockedModel) -> bool:
    """Returns whether a model has the structure of one in a lock, in the same form or in one with the same meaning."""
    if spec.structure_digest == locked.structure:
        return True
    return layers_of(spec) == locked.layers and ports_of(spec) == locked.ports


def _is_it(path: Path, architecture: Path | None, locked: LockedModel) -> bool:
    try:
        archive = open_archive(path) if architecture is None else open_beside(path, architecture)
        if not is_like(archive.spec, locked):
            return False
        found = fingerprint(archive)
    except ModelError:
        return False
    return in_lock(found.tensors) == locked.tensors
