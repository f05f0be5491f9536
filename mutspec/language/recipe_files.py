"""The recipes that plans may use: where they are looked for, within which folder, and how they are read.

A name is a file relative to the file that uses it, with or without `.yaml`; else a recipe that ships with mutspec. What
is used by a plan outside of the folder that the call names is relative to that folder. No file outside of the folder is
opened, whatever a name or a link says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from stat import S_ISREG

from mutspec.errors import PlanError, Problem, nearest
from mutspec.language.document import package_problem, parse
from mutspec.language.files import MAX_BYTES, is_plan_name, read_text
from mutspec.language.nodes import Node, size_of
from mutspec.text.digest import text_digest
from mutspec.text.visible import in_one_line

SHIPPED = "shipped:"
"""The beginning of names of recipes that ship with mutspec; a plan may leave it out."""

MAX_FILES = 256
"""The most files that a plan may use."""

_SUFFIXES = (".yaml", ".yml")
_MOST_LISTED = 2000
"""The most entries of folders that are read to find names that are like a missing one."""


@dataclass(frozen=True)
class RecipeFile:
    """A recipe that was read.

    Arguments:
        label: its path from the plan's folder, or `shipped:<name>`.
        shown: its name in messages.
        path: the file, without links.
        folder: the folder from which it names other recipes.
        is_shipped: whether it ships with mutspec.
        digest: a digest of its text.
        size: the number of characters of its text, or that of its values and characters with those of aliases.
        root: its document.
        warnings: what is surprising in its YAML.
    """

    label: str
    shown: str
    path: Path
    folder: Path
    is_shipped: bool
    digest: str
    size: int
    root: Node
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class RecipeSource:
    """Where the recipes are that a plan may use.

    A name is looked for and a file is read once. So a sweep has one text of it, also in processes that other machines
    or folders have, to which the source is sent.

    Arguments:
        plan: the plan's own file; None for a plan that is not a file.
        root: the folder outside of which no file is read. Without it only what ships with mutspec can be used.
        plan_path: the plan's own file, without links.
        known: the recipes that have been read, by their paths.
        found: the same, by the path of their user (None for the plan) and the name that this has for them.
    """

    plan: Path | None = None
    root: Path | None = None
    plan_path: Path | None = None
    known: dict[Path, RecipeFile] = field(default_factory=dict, compare=False, repr=False)
    found: dict[tuple[Path | None, str], RecipeFile] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_file(cls, plan: str | Path, root: Path | None = None) -> RecipeSource:
        """Returns the source of a plan file: the folder that the call names, by default the plan's own."""
        path = Path(plan)
        return cls(path, path.parent if root is None else root, _real(path))

    def paths(self) -> tuple[Path, ...]:
        """Returns the files that have been read."""
        return tuple(self.known)

    def find(self, name: str, user: RecipeFile | None = None) -> RecipeFile:
        """Returns the recipe of a name.

        Arguments:
            name: the name, as the step has it.
            user: the recipe that uses it; None for the plan itself.

        Raises:
            PlanError: there is none, or it may not be read. A problem without a place is about the name.
        """
        wanted = None if user is None else user.path, name
        if wanted not in self.found:
            self.found[wanted] = self._sought(name, user)
        return self.found[wanted]

    def _sought(self, name: str, user: RecipeFile | None) -> RecipeFile:
        if problem := _odd(name):
            raise PlanError(problem)
        if name.startswith(SHIPPED):
            return self._shipped(name.removeprefix(SHIPPED)) or self._missing(name, user)
        folder = self._folder(user)
        if folder is not None:
            assert self.root is not None
            path = Path(os.path.normpath(folder / _with_suffix(name)))
            real = _real(path)
            if not real.is_relative_to(_real(self.root)):
                message = f"`{in_one_line(name)}` leads out of {_named(self.root)}, outside of which no file is used"
                raise PlanError(message, hint="name a folder that has both in the call: --recipes DIR")
            if _is_there(real):
                return self._read(path, real)
        return self._shipped(name) or self._missing(name, user)

    def _folder(self, user: RecipeFile | None) -> Path | None:
        """Returns the folder from which a name may lead to a file; None if it can only be that of a shipped recipe."""
        if self.root is None or (user is not None and user.is_shipped):
            return None
        own = user.folder if user is not None else None if self.plan is None else self.plan.parent
        return own if own is not None and _real(own).is_relative_to(_real(self.root)) else self.root

    def _shipped(self, name: str) -> RecipeFile | None:
        from mutspec.resources import shipped_recipe

        path, label = shipped_recipe(name), SHIPPED + name
        return None if path is None else self._read(path, path, label=label, shown=label, is_shipped=True)

    def _read(
        self, path: Path, real: Path, *, label: str = "", shown: str = "", is_shipped: bool = False
    ) -> RecipeFile:
        if real in self.known:
            return self.known[real]
        if len(self.known) >= MAX_FILES:
            raise PlanError(f"the plan uses more than {MAX_FILES} files", hint="use fewer of them")
        shown = shown or str(path)
        text = read_text(real, shown)
        if sum(each.size for each in self.known.values()) + len(text) > MAX_BYTES:
            message = f"the files that the plan uses are larger than {MAX_BYTES // 2**20} MiB together"
            raise PlanError(message, hint="use fewer of them")
        document = parse(text, shown)
        problem = package_problem(text, document)
        warnings = document.warnings if problem is None else (*document.warnings, problem)
        digest = text_digest(text)
        label, size = label or self._label(path), max(len(text), size_of(document.root))
        self.known[real] = RecipeFile(
            label, shown, real, path.parent, is_shipped, digest, size, document.root, warnings
        )
        return self.known[real]

    def _label(self, path: Path) -> str:
        """Returns the path of a file from the plan's folder, or from the root for a plan that is not a file."""
        folder = self.plan.parent if self.plan is not None else self.root
        assert folder is not None
        return PurePath(os.path.relpath(path, folder)).as_posix()

    def _missing(self, name: str, user: RecipeFile | None) -> RecipeFile:
        """Raises the error about a name that leads nowhere."""
        folder = self._folder(user)
        names = [*(_names_in(folder) if folder is not None else ()), *shipped_names()]
        wanted = name.removeprefix(SHIPPED)
        near = nearest(wanted, dict.fromkeys(each for each in names if each != wanted))
        hint = "it is looked for among the recipes that ship with mutspec"
        if folder is not None:
            hint = f"it is looked for in {_named(folder)}, and then among the recipes that ship with mutspec"
        elif self.plan is None:
            hint += ", as the plan is not a file; the call can name a folder: --recipes DIR"
        raise PlanError(f"there is no recipe `{in_one_line(name)}`", hint=hint, candidates=near)


def recipe_name(use: str) -> str:
    """Returns the name of a recipe without its folder and suffix, after which the steps of its use are called."""
    path = PurePosixPath(use.removeprefix(SHIPPED))
    return path.stem if path.suffix in _SUFFIXES else path.name


def shipped_names() -> list[str]:
    """Returns the names of the recipes that ship with mutspec."""
    return [path.stem for path in shipped_files()]


def shipped_files() -> list[Path]:
    """Returns the recipes that ship with mutspec, in alphabetical order."""
    from mutspec.resources import resource_folder

    return plans_in(resource_folder("conf") / "plan", "*.yaml")


def plans_in(folder: Path, pattern: str) -> list[Path]:
    """Returns the plans in a folder, in alphabetical order, without the tests and locks beside them."""
    return [path for path in sorted(folder.glob(pattern)) if is_plan_name(path)]


def _odd(name: str) -> Problem | None:
    """Returns what is wrong with a name that cannot be that of a recipe."""
    if "${" in name:
        return Problem("`use` cannot be interpolated", hint="write the recipe's name")
    if "\0" in name or not name.isprintable():
        return Problem("the name of a recipe cannot have control characters")
    if PurePath(name).is_absolute() or name.startswith(("/", "\\")) or PurePath(name).drive:
        hint = "name a file relative to this one, or a recipe that ships with mutspec"
        return Problem(f"`{in_one_line(name)}` is an absolute path, which a plan cannot use", hint=hint)
    return None


def _with_suffix(name: str) -> str:
    return name if name.endswith(_SUFFIXES) else f"{name}.yaml"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_there(path: Path) -> bool:
    """Returns whether a path leads to a file.

    Raises:
        PlanError: it leads to something else, such as a folder or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if not S_ISREG(mode):
        raise PlanError(f"`{in_one_line(path.name)}` is not a file", hint="name a recipe's file")
    return True


def _named(folder: Path) -> str:
    shown = in_one_line(str(folder))
    return "the current folder" if shown in ("", ".") else f"`{shown}`"


def _names_in(folder: Path) -> Iterator[str]:
    """Yields the names by which recipes in a folder, and in those below, can be used."""
    seen = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            if name.endswith(_SUFFIXES) and is_plan_name(name):
                yield PurePath(os.path.relpath(os.path.join(parent, name), folder)).with_suffix("").as_posix()
        seen += len(files) + len(folders)
        if seen > _MOST_LISTED:
            return
