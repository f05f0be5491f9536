"""Plan files: from bytes to text, and problems with a file as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


def read_text(path: str | Path, name: str = "") -> str:
    """Reads a plan file as UTF-8, with or without a byte order mark.

    Arguments:
        path: the file.
        name: its name in error messages; by default its path.

    Raises:
        PlanError: if the file cannot be read, or is not text.
    """
    name = name or str(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise PlanError(_missing_file(Path(path))) from None
    except IsADirectoryError:
        raise PlanError(about(name, "this is a folder, not a plan", "name a plan file in it")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError(about(name, f"the file cannot be read: {reason}")) from None
    return decode(data, name)


def decode(data: bytes, name: str) -> str:
    """Decodes the bytes of a plan.

    Raises:
        PlanError: if they are not UTF-8, or more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise PlanError(about(name, f"the file is larger than {MAX_BYTES // 2**20} MiB, the most that a plan may have"))
    if data.startswith((b"PK\x03\x04", b"\x89HDF")):
        raise PlanError(about(name, "this is a model file, not a plan", "the plan comes before the model: PLAN MODEL"))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PlanError(about(name, "the file is UTF-16, but a plan must be UTF-8", "save it as UTF-8"))
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
