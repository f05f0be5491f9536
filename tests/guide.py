"""The package of docs/writing-an-op.md, made of the page's own text."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "writing-an-op.md").read_text()

_FILES = re.compile(r"^`([\w./]+)`[^\n]*:\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE)
"""A line that begins with a file's name and ends with a colon, and the block of code after it."""


def write_package(folder: Path) -> None:
    """Writes every file that the page shows."""
    files = dict(_FILES.findall(PAGE))
    assert set(files) == {"pyproject.toml", *(f"dead_zone/{name}.py" for name in ("weights", "neurons", "layers"))}
    for name, text in {**files, "dead_zone/__init__.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def plan() -> str:
    """The plan that the page shows."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]
