"""`mutspec validate --fix`: plan files are read, and written again where something in them changes."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from mutspec.cli.plans import recipe_meant, source_of
from mutspec.errors import CallError, PlanError
from mutspec.language.files import decode, read_text


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A plan file before and after it was fixed.

    Arguments:
        path: the file, as the call names it; `-` for standard input.
        before, after: its text.
        changes: what was changed, in words.
    """

    path: str
    before: str
    after: str
    changes: tuple[str, ...]

    def diff(self) -> str:
        """Returns the lines that change, as a unified diff."""
        before, after = (each.splitlines(keepends=True) for each in (self.before, self.after))
        made = unified_diff(before, after, self.path, self.path)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)


def fix_file(path: str, standard_input: bytes | None, *, writes: bool) -> FixedFile | None:
    """Fixes a plan file; None if the plan is not valid, so that nobody knows what it should be.

    A file keeps its permissions and its byte order mark, and a link stays a link. An interrupt or a full disk leaves it
    as it was.

    Arguments:
        path: the file, or `-` for standard input.
        standard_input: its bytes, if the call has read it.
        writes: whether to write the file.

    Raises:
        CallError: it is not a file of the user's.
        EnvironmentProblem: it cannot be written.
    """
    from mutspec.execute.rewriting import rewrite
    from mutspec.lint.fixing import fixed
    from mutspec.ops import catalogue

    try:
        text = _content(path) if path != "-" or standard_input is None else decode(standard_input, path)
        made = fixed(text, catalogue(), path, source_of(path))
    except PlanError:
        return None
    if writes and path != "-" and made.text != text:
        rewrite(Path(path), text, made.text)
    return FixedFile(path, text, made.text, made.changes)


def _content(path: str) -> str:
    if not Path(path).is_file():
        if recipe_meant(path) is not None:
            raise CallError(f"`{path}` is a recipe of mutspec, which --fix does not write", hint="give a file")
        read_text(path)  # says what is wrong
        raise CallError(f"`{path}` is not a file, which --fix needs to write it", hint="give a file, or `-`")
    return read_text(path)
