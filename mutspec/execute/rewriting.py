"""Files of the user's that are edited in place: test files whose snapshots are updated, plans that are fixed."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path

from mutspec.errors import CallError, PlanError
from mutspec.execute.output import replacing, write_at
from mutspec.language.files import MAX_BYTES, decode


def rewrite(path: Path, read: str, text: str) -> None:
    """Writes another text into a file, which keeps its byte order mark and its permissions; a link stays a link.

    An interrupt or a full disk leaves the file as it was.

    Arguments:
        path: the file.
        read: its text when it was read, of which the new one was made.
        text: the new text.

    Raises:
        CallError: the file has another text by now.
        EnvironmentProblem: it cannot be written.
    """
    target = path.resolve()
    mark = BOM_UTF8 if _content(path, target, read).startswith(BOM_UTF8) else b""
    with replacing(target, force=True, check=lambda _: _refuse_changed(path, target, read)) as (descriptor, _):
        write_at(descriptor, mark + text.encode(), 0)


def _content(path: Path, target: Path, read: str) -> bytes:
    """Returns the bytes of a file that has the text that was read.

    Raises:
        CallError: it has not.
    """
    try:
        with target.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        is_same = decode(data, str(path)) == read
    except (OSError, PlanError):
        is_same = False
    if not is_same:
        raise CallError(f"{path} has changed since it was read, and is left as it is", hint="try it again")
    return data


def _refuse_changed(path: Path, target: Path, read: str) -> None:
    _content(path, target, read)
