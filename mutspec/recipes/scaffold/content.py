"""The files of a new recipe repository, by their paths in it."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from mutspec.documents import json_bytes
from mutspec.recipes.schemas import SCHEMAS
from mutspec.resources import resource_folder
from mutspec.show.markdown import escape
from mutspec.version import __version__

MODEL = "models/digits.keras"
RECIPE = "recipes/jitter.yaml"
LOCK = "recipes/jitter.lock.yaml"
_DOCUMENTS = ("plan", "test", "lock")
"""The documents in the repository that editors check."""


def contents(name: str) -> dict[str, bytes]:
    """Returns the files that need nothing but a name for the repository: all but the lock, which is made of them.

    The schemas are those of the mutspec that is installed, with the ops of other packages.
    """
    words = {"@NAME@": escape(name), "@REQUIREMENT@": requirement()}
    found = {path: _filled(text, words) for path, text in _templates().items()}
    found[MODEL] = (resource_folder("conf") / "model" / "digits.keras").read_bytes()
    found |= {f"schemas/{document}.schema.json": json_bytes(SCHEMAS[document]()) for document in _DOCUMENTS}
    return dict(sorted(found.items()))


def _templates() -> dict[str, str]:
    folder = Path(str(files("mutspec.recipes.scaffold"))) / "files"
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _filled(text: str, words: dict[str, str]) -> bytes:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text.encode()


def requirement() -> str:
    """Returns the line of a requirements file that installs this mutspec.

    If it was installed from a version control system, the line names the commit, as `pip freeze` does. A folder or an
    archive of this machine means nothing to others, so then the line has the version.
    """
    try:
        origin = json.loads(distribution("mutspec").read_text("direct_url.json") or "{}")
        source, url = origin.get("vcs_info"), origin.get("url")
    except (PackageNotFoundError, ValueError, AttributeError):
        source = url = None
    if source and url and not url.startswith("file:"):
        return f"mutspec @ {source['vcs']}+{url}@{source['commit_id']}"
    return f"mutspec=={__version__}"
