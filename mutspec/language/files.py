"""Plan files: from bytes to text, and problems with a file as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from mutspec.documents_beside import LOCK_SUFFIX, TEST_SUFFIX
from mutspec.errors import Place, PlanError, Problem, nearest
from mutspec.language.nodes import Source, SourceSpan

MAX_BYTES = 16 * 2**20
"""The largest plan file that is read. A plan of 1,000 steps has about 0.1 MB."""

NOT_PLANS = {TEST_SUFFIX: ("a recipe test", "mutspec test"), LOCK_SUFFIX: ("a lock", "mutspec verify")}
"""The YAML files that stand beside plans, by how their names end: what each is, and the command that reads it."""


def is_plan_name(path: str | Path) -> bool:
    """Returns whether a YAML file of this name may be a plan, and is not one of `NOT_PLANS`."""
    return not Path(path).name.endswith(tuple(NOT_PLANS))


def refuse_other_document(path: str | Path) -> None:
    """Refuses a file that is not a plan by its name.

    Raises:
        PlanError: it is a recipe test or a lock.
    """
    for ending, (what, command) in NOT_PLANS.items():
        if Path(path).name.endswith(ending):
            raise PlanError(about(str(path), f"this is {what}, not a plan", f"`{command} {path}` reads it"))


def read_text(path: str | Path, name: str = "", *, title: str = "a plan", is_stored: bool = False) -> str:
    """Reads the file of a plan, or of another document, as UTF-8, with or without a byte order mark.

    Arguments:
        path: the file.
        name: its name in error messages; by default its path.
        title: what messages call the document.
        is_stored: whether it must be a file on a disk, as one that is found in a folder: a pipe there may never end.

    Raises:
        PlanError: if the file cannot be read, or is not text.
    """
    name = name or str(path)
    try:
        if is_stored and not S_ISREG(mode := os.stat(path).st_mode) and not S_ISDIR(mode):
            raise PlanError(about(name, "this is a pipe or a device, not a file"))
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise PlanError(_missing_file(Path(path))) from None
    except IsADirectoryError:
        raise PlanError(about(name, f"this is a folder, not {title}", "name a file in it")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError(about(name, f"the file cannot be read: {reason}")) from None
    return decode(data, name, title)


def decode(data: bytes, name: str, title: str = "a plan") -> str:
    """Decodes the bytes of a plan, or of another document, which messages call by its title.

    Raises:
        PlanError: if they are not UTF-8, or more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 2**20} MiB, the most that {title} may have"
        raise PlanError(about(name, message))
    if data.startswith((b"PK\x03\x04", b"\x89HDF")):
        hint = "the plan comes before the model: PLAN MODEL" if title == "a plan" else ""
        raise PlanError(about(name, f"this is a model file, not {title}", hint))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PlanError(about(name, f"the file is UTF-16, but {title} must be UTF-8", "save it as UTF-8"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", errors="replace")
        source = source_of(good, name)
        line = max(1, len(source.lines))
        column = len(source.lines[-1]) + 1 if source.lines else 1
        if good.endswith(("\n", "\r")):
            line, column = line + 1, 1
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        place = SourceSpan(source, line, column, column + 1).place()
        raise PlanError(message, place=place, hint="save the file as UTF-8") from None


def _missing_file(path: Path) -> Problem:
    return Problem("there is no such file", Place(str(path), 0, 0, 0), candidates=called_like(path))


def is_inside(path: Path, folders: Iterable[Path]) -> bool:
    """Returns whether a path leads to something in or below one of some folders, by whatever links."""
    try:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(each)) for each in folders)
    except (OSError, ValueError):  # a name with a NUL
        return False


def called_like(path: Path, is_meant: Callable[[Path], bool] = lambda _: True) -> tuple[str, ...]:
    """Returns files or folders with a similar name, in the folder where one is missing.

    Arguments:
        path: the missing file or folder.
        is_meant: says whether a path in that folder may be the one that was meant.
    """
    try:
        siblings = [entry.name for entry in path.parent.iterdir() if is_meant(entry)]
    except OSError:
        siblings = []
    return tuple(str(path.with_name(name)) for name in nearest(path.name, siblings))


def about(name: str, message: str, hint: str = "") -> Problem:
    """Returns a problem with a file as a whole, which has line 0."""
    return Problem(message, Place(name, 0, 0, 0), hint=hint)


def source_of(text: str, name: str) -> Source:
    """Returns a text as the source of a document's values."""
    return Source(name, tuple(text.splitlines()))
