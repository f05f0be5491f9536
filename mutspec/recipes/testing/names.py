"""Which files are recipe tests. It imports hardly anything, so that pytest's plug-in is light."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mutspec.documents_beside import TEST_SUFFIX, files_below

KEY = "mutspec_test"

_HEAD_BYTES = 1 << 16
"""How far into a file its first key is looked for."""
_FIRST_KEY = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:(?:---)?[ \t]*(?:#[^\n]*)?\r?\n)*" + KEY.encode() + rb"[ \t]*:")


def is_recipe_test(path: Path) -> bool:
    """Returns whether a file is called as a recipe test, and begins with the key `mutspec_test`.

    Other tools have files of such names too. A pipe is none, as reading it may never end.
    """
    if not (path.name.endswith(TEST_SUFFIX) and path.is_file()):
        return False
    try:
        with path.open("rb") as file:
            return _FIRST_KEY.match(file.read(_HEAD_BYTES)) is not None
    except OSError:
        return False


def recipe_tests_in(folder: Path) -> Iterator[Path]:
    """Yields the recipe tests in a folder and in those below it that are not hidden, in alphabetical order."""
    return files_below(folder, is_recipe_test)


def recipe_beside(test: Path) -> Path:
    """Returns the recipe that a test file stands beside."""
    return test.with_name(f"{test.name.removesuffix(TEST_SUFFIX)}.yaml")


def path_of_tests(recipe: Path) -> Path:
    """Returns the test file beside a recipe."""
    return recipe.with_name(f"{recipe.name.removesuffix('.yaml')}{TEST_SUFFIX}")
