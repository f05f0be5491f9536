"""What a job depends on, as one digest: jobs that have the same one have the same result."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import blake2b, file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from mutspec.execute.report import engine
from mutspec.experiment.job_settings import Settings
from mutspec.language import Plan
from mutspec.ops.base import Op
from mutspec.own_modules import allow_modules, targets

_OF_THE_RUN = ("resume", "strict_gates")
"""Settings that no result depends on."""
_PACKAGES = ("numpy", "keras", "tensorflow", "tensorflow-cpu")
"""Those that compute what results say."""

Stamp = tuple[str, int, int]
"""Of a file, what changes when it is written again: its path, size and time."""


def inputs_digest(settings: Settings, plan: Plan[Op], modules: Iterable[str] = ()) -> str:
    """A digest of the plan, the settings, the content of the files that they name, and the versions of what computes.

    Of the user's own code it knows the files of the functions that the settings name, and not what these import.

    Arguments:
        settings: of the job.
        plan: of the job.
        modules: what the call imports.
    """
    given = {key: value for key, value in msgspec.to_builtins(settings).items() if key not in _OF_THE_RUN}
    bound = [settings.inputs[name] for name in plan.inputs if name in settings.inputs]
    files = [settings.model.path, *bound, *texts(settings.data)]
    code = [*modules, *(name.rpartition(".")[0] for name in targets([settings.data, given["evaluate"]]))]
    document = {
        "engine": [engine(), *_versions()],
        "plan": [plan.name, plan.digest],
        "settings": given,
        "files": [[path, _content(path)] for path in files],
        "folder": _listing(settings.data.get("path")),
        "code": [[module, _content(_source(module))] for module in code],
    }
    # Not by msgspec's encoder: to it, as to JSON proper, NaN and infinity are both null.
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def texts(value: Any) -> Iterator[str]:
    """All texts in a value: those in the arguments of a data function may name files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from texts(each)


def stamp(path: str | None) -> Stamp | None:
    """The stamp of a file; None if there is none."""
    with suppress(OSError, ValueError):
        if path is not None and Path(path).is_file():
            status = os.stat(path)
            return os.path.abspath(path), status.st_size, status.st_mtime_ns
    return None


def _content(path: str | None) -> str | None:
    """A digest of what is in a file; None if it cannot be read. For as long as it keeps its stamp, it is read once."""
    with suppress(OSError):
        known = stamp(path)
        return None if known is None else _digest(*known)
    return None


@lru_cache(maxsize=64)
def _digest(path: str, *_: int) -> str:
    with open(path, "rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def _listing(path: Any) -> list[Any] | None:
    """What is in a folder, such as one of images: the stamps of all files, for reading these would take too long."""
    if not isinstance(path, str) or not os.path.isdir(path):
        return None
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return [[os.path.relpath(each, path), *(stamp(each) or ("",))[1:]] for each in sorted(found)]


def _source(module: str) -> str | None:
    """The file of a module. Neither it nor the packages that it is in are imported, which may take seconds."""
    allow_modules([module])
    file, path, name = None, None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return file
        file, path = spec.origin, spec.submodule_search_locations
    return file


@cache
def _versions() -> tuple[str, ...]:
    found = []
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return tuple(found)
