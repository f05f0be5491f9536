"""Inputs of a job as one digest: jobs with the same digest have the same result."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b, file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from mutspec.access.digests import weights_digest
from mutspec.errors import MutspecError
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.data.loading import load_data
from mutspec.experiment.evaluation.metric_names import OBJECT
from mutspec.experiment.job_settings import EvaluateSettings, Settings
from mutspec.language import Plan
from mutspec.lowering.base import Op
from mutspec.model.files.opening import open_archive
from mutspec.model.limits import current_limits
from mutspec.own_modules import allow_modules, targets
from mutspec.text.digest import text_digest
from mutspec.version import engine

_OF_THE_RUN = ("resume", "strict_gates", "force", "provenance")
"""Settings that no result depends on."""
_PACKAGES = ("numpy", "keras", "tensorflow", "tensorflow-cpu")
"""Those that compute what results say."""

Stamp = tuple[str, tuple[int, ...]]
"""The facts of a file that change when it is written again or replaced: its path, and its place, size and times."""


@dataclass(frozen=True)
class ModelContent:
    """Digests of the content of a model's file.

    Arguments:
        weights: of its weights; empty if they cannot be read.
        all: of its weights and its configuration.
    """

    weights: str
    all: str


_INDICES = (".json", ".index")
"""Suffixes of files that name further files, which hold the values: shards of weights, tables of a checkpoint."""


def inputs_digest(settings: Settings, plan: Plan[Op], modules: Iterable[str] = ()) -> str:
    """Returns a digest of the plan, the settings, the content of files that they name, and the versions of packages.

    Names are not in it, neither the plan's nor those of model files and of data files: what was moved is the same.

    Of the user's own code it knows the files of the functions that the settings name, and not what these import.

    Arguments:
        settings: of the job.
        plan: of the job.
        modules: what the call imports.
    """
    given = {key: value for key, value in msgspec.to_builtins(settings).items() if key not in _OF_THE_RUN}
    bound = {name: settings.inputs[name] for name in plan.inputs if name in settings.inputs}
    given |= {"model": {**given["model"], "path": ""}, "inputs": sorted(bound)}
    is_named_by_content = is_known_by_files(settings.data) and "path" in settings.data
    given |= {"data": {**settings.data, "path": ""}} if is_named_by_content else {}
    code = [*modules, *(name.rpartition(".")[0] for name in targets([settings.data, given["evaluate"]]))]
    document = {
        "engine": [engine(), *_versions()],
        "plan": [plan.effect_digest, plan.seed],
        "settings": given,
        "models": [model_content(path).all for path in (settings.model.path, *(bound[name] for name in sorted(bound)))],
        "files": [["" if is_named_by_content else path, _content(path)] for path in texts(settings.data)],
        "folder": _listing(settings.data.get("path")),
        "code": [[module, _content(_source(module))] for module in code],
    }
    return _digest_of(document)


def evaluate_digest(settings: EvaluateSettings) -> str:
    """Returns a digest of what says which numbers are measured: loss and metrics, and the code of the user's own.

    Whether outputs are compared, and how many samples are in a batch, changes none of these numbers.
    """
    given = {name: _without_objects(getattr(settings, name)) for name in ("loss", "metrics", "from_logits")}
    modules = sorted({name.rpartition(".")[0] for name in targets(given)})
    own = [module for module in modules if module.partition(".")[0] not in _NOT_THE_USERS]
    return _digest_of([given, [[module, _content(_source(module))] for module in own]])


def _without_objects(value: Any) -> Any:
    """Returns losses and metrics without the objects that Python gives, of which class and arguments are there."""
    if isinstance(value, Mapping):
        return {key: _without_objects(each) for key, each in value.items() if key != OBJECT}
    return [_without_objects(each) for each in value] if isinstance(value, list) else value


_NOT_THE_USERS = ("keras", "tensorflow", "mutspec")
"""Packages whose code is known by its version, which is in `Result.environment`."""


def _digest_of(document: Any) -> str:
    # Not by msgspec's encoder: to it, as to JSON proper, NaN and infinity are both null.
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return text_digest(text)


def texts(value: Any) -> Iterator[str]:
    """Yields all texts in a value: those in the arguments of a data function may name files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from texts(each)


def stamp(path: str | None) -> Stamp | None:
    """The stamp of a file; None if there is none."""
    with suppress(OSError, ValueError):
        if path is not None and Path(path).is_file():
            return os.path.abspath(path), _facts(os.stat(path))
    return None


def stamps(path: str) -> tuple[Stamp | None, ...]:
    """The stamps of a file and of the files that belong to it: some models are folders, others lie in several files."""
    if os.path.isdir(path):
        return tuple(map(stamp, _below(path)))
    if not path.endswith(_INDICES):
        return (stamp(path),)
    folder, name = os.path.split(path)
    with suppress(OSError):
        start = name.partition(".")[0]
        return tuple(
            stamp(os.path.join(folder, each)) for each in sorted(os.listdir(folder or ".")) if each.startswith(start)
        )
    return (stamp(path),)


def _facts(status: os.stat_result) -> tuple[int, ...]:
    """Returns the system's facts about a file. Copying a file with its time of writing changes the second time."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def model_content(path: str) -> ModelContent:
    """Returns digests of what is in a model's file. For as long as it keeps its stamp, it is read once.

    The same model has the same ones when it is saved again, or moved.
    """
    return _model_content(path, stamps(path), current_limits())


@lru_cache(maxsize=64)
def _model_content(path: str, *_: Any) -> ModelContent:
    try:
        archive = open_archive(Path(path))
        weights = weights_digest(archive)
    except (MutspecError, OSError):  # the job says what is wrong with it
        return ModelContent("", _content(path) or "")
    config = json.dumps([archive.spec.structure_digest, archive.config], sort_keys=True, default=str)
    return ModelContent(weights, blake2b(f"{weights} {config}".encode("utf-8", "backslashreplace")).hexdigest()[:32])


def is_known_by_files(data: Mapping[str, Any]) -> bool:
    """Tells whether data come from files that the settings name, rather than a function that may read others."""
    return str(data.get("_target_")).startswith("mutspec.")


def has_same_data(digest: str, data: Mapping[str, Any]) -> bool:
    """Tells whether a function of the user's own, which may read any files, still returns data of some digest.

    Raises:
        CallError: it fails.
    """
    return not digest or is_known_by_files(data) or load_data_once(data).digest == digest


def load_data_once(data: Mapping[str, Any]) -> Data:
    """Returns the data of some settings. They are kept until others are asked for, or their files change."""
    content = msgspec.json.encode(data, order="sorted")
    known = (*map(stamp, texts(data)), *stamps_of_folder(data))
    return _load_data(content, known)


def stamps_of_folder(data: Mapping[str, Any]) -> tuple[Stamp | None, ...]:
    """The stamps of the files in a folder that `data.path` names; none if it names no folder."""
    path = data.get("path")
    return stamps(path) if isinstance(path, str) and os.path.isdir(path) else ()


def forget_data() -> None:
    """Lets go of data that were loaded: in another call a function of the user's own may read something else."""
    _load_data.cache_clear()


@lru_cache(maxsize=1)
def _load_data(data: bytes, _: Any) -> Data:
    return load_data(msgspec.json.decode(data))


def _content(path: str | None) -> str | None:
    """A digest of what is in a file; None if it cannot be read. For as long as it keeps its stamp, it is read once."""
    with suppress(OSError):
        known = stamp(path)
        return None if known is None else _digest(*known)
    return None


@lru_cache(maxsize=64)
def _digest(path: str, _: Any) -> str:
    with open(path, "rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def _listing(path: Any) -> list[Any] | None:
    """Returns the stamps of all files in a folder, such as one of images, which would take too long to read."""
    if not isinstance(path, str) or not os.path.isdir(path):
        return None
    return [[os.path.relpath(each, path), *_size_and_time(each)] for each in _below(path)]


def _below(path: str) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def _size_and_time(path: str) -> tuple[int, ...]:
    with suppress(OSError):
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    return ()


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
