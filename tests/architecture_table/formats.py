"""Compares each mutant with those that Keras writes, in all three formats.

mutspec writes the mutant of each op on each small model as `.keras`, `.weights.h5` and `.h5`. Each is compared with two
others, dataset by dataset, attribute by attribute, and argument by argument of the config:

- with what Keras saves after it has loaded the `.keras` file (`saved_again`). It does not tell whether Keras would have
  made the same model;
- the `.keras` file also with the one of `mutspec.apply` on the live base. Keras makes this mutant and writes its config
  by itself: all arguments, the order of the layers, the shapes of calls and builds.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import mutspec
from tests.architecture_table.models import APPLICATIONS, MODELS
from tests.architecture_table.plain_keras import prepare
from tests.architecture_table.saved_again import AGAIN, LOAD, first_line, predicted
from tests.architecture_table.steps import Json
from tests.architecture_table.table import ROOT, mutate
from tests.keras_facts.installed import comparable
from tests.zoo import ZOO

LIVE = "live"
"""The comparison with the mutant of the live model, among those of formats."""

UNTAKEN = ("nested_custom", "shared_everywhere", "shared_with_nested", "subclassed", "subclassed_functional")
"""Models that no plan can rewire: code calls their layers, or models share them."""

SMALL = {name: build for name, build in {**MODELS, **ZOO}.items() if name not in {*APPLICATIONS, *UNTAKEN}}
"""The models: those of the zoo, and the small ones of the table."""

TOGETHER = 5
"""How many models are done before what came of them is printed. Each time a process of Keras is started."""

SHOWN = 3
"""The most differences of two files that are shown."""


@dataclass
class Compared:
    """What came of an op on a model.

    Arguments:
        step: the step.
        by_keras: why Keras built the mutant; empty if mutspec wrote it.
        differing: what differs, by format; nothing if the files are equal.
        refused: why there is no pair of files, by format.
        reordered: the formats in which configs have the same arguments in another order.
    """

    step: Json
    by_keras: str = ""
    differing: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    reordered: list[str] = field(default_factory=list)


def compare(names: Iterable[str], folder: Path) -> dict[str, dict[str, Compared]]:
    """Returns what came of each op that runs on some models, by model and op."""
    found = {name: _mutants(name, folder / name) for name in names}
    command = [sys.executable, "-m", "tests.architecture_table.saved_again", *(str(folder / name) for name in found)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    for name, done in found.items():
        failed = json.loads((folder / name / "again.json").read_text())
        for op, each in done.items():
            _compare_formats(op, each, folder / name, failed[op])
        _compare_live({op: each for op, each in done.items() if LOAD not in each.differing}, folder / name)
    return found


def _mutants(name: str, folder: Path) -> dict[str, Compared]:
    """Writes the mutants of a model in all formats."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare(SMALL[name], folder)
    row = mutate(folder)
    for op, cell in row.items():
        if cell["mark"] == "wrong":
            print(f"{name} {op}: {cell['message']}", flush=True)
    done = {op: Compared(cell["step"], cell.get("by_keras", "")) for op, cell in row.items() if cell["mark"] == "ran"}
    for op, each in done.items():
        _write_others(op, each, folder)
    return done


def _plan(step: Json, folder: Path) -> tuple[Any, dict[str, Path] | None]:
    if "source" not in step:
        return mutspec.plan({"steps": [step]}), None
    return mutspec.plan({"inputs": {"second": {}}, "steps": [step]}), {"second": folder / "second.keras"}


def _write_others(op: str, compared: Compared, folder: Path) -> None:
    plan, inputs = _plan(compared.step, folder)
    for kind in ("weights.h5", "h5"):
        try:
            mutspec.apply(plan, folder / "base.keras", folder / f"{op}.{kind}", inputs=inputs, force=True)
        except mutspec.MutspecError as error:
            compared.refused[kind] = error.problems[0].message


def _compare_formats(op: str, compared: Compared, folder: Path, failed: Mapping[str, str]) -> None:
    if LOAD in failed:
        compared.differing[LOAD] = [failed[LOAD]]
        return
    for kind, suffix in AGAIN.items():
        ours, theirs = folder / f"{op}.{kind}", folder / f"{op}{suffix}"
        if kind in failed:
            compared.refused.setdefault(kind, f"Keras cannot save it: {failed[kind]}")
        if kind not in compared.refused:
            _note(compared, kind, ours, theirs)


def _compare_live(done: Mapping[str, Compared], folder: Path) -> None:
    import keras

    base = keras.saving.load_model(folder / "base.keras")
    for op, compared in done.items():
        keras.backend.clear_session()
        plan, inputs = _plan(compared.step, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                mutant = mutspec.apply(plan, base, inputs=inputs)
                mutant.save(folder / f"{op}.live.keras")
            except Exception as error:
                compared.refused[LIVE] = first_line(error)
                continue
            _note(compared, LIVE, folder / f"{op}.keras", folder / f"{op}.live.keras")
            with np.load(folder / f"{op}.npz") as loaded:
                pairs = zip(loaded.values(), predicted(mutant), strict=True)
                if not all(np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True) for one, other in pairs):
                    compared.differing[LIVE].append("predictions")


def _note(compared: Compared, kind: str, ours: Path, theirs: Path) -> None:
    one, other = (content(path, is_exact=kind != LIVE) for path in (ours, theirs))
    compared.differing[kind] = list(islice(differences(one, other), SHOWN))
    if not compared.differing[kind] and json.dumps(one) != json.dumps(other):
        compared.reordered.append(kind)


def content(path: Path, *, is_exact: bool = True) -> Json:
    """Returns what a file holds but for dates: members of a zip; groups, attributes and datasets; configs.

    Arguments:
        path: the file.
        is_exact: whether the weights in a `.keras` file count byte by byte. Otherwise the numbers of automatic names do
            not count. Layers inside layers, such as the dropout of an attention layer, get them in the order in which a
            process makes layers.
    """
    if path.suffix != ".keras":
        return {"whole file": _hdf5(path)}
    with zipfile.ZipFile(path) as file:
        members = [[info.filename, info.compress_type] for info in file.infolist()]
        assets = {name: sha256(file.read(name)).hexdigest() for name in file.namelist() if name.startswith("assets/")}
        config = _config(file.read("config.json"))
        metadata = {**json.loads(file.read("metadata.json")), "date_saved": ""}
        written = file.read("model.weights.h5")
    weights = _hdf5(io.BytesIO(written))
    if is_exact:
        weights.append(sha256(written).hexdigest())
    else:
        weights = [
            [path, [[key, _without_number(name)] for key, name in names], *values] for path, names, *values in weights
        ]
    return {"members": members, "assets": assets, "metadata": metadata, "config": config, "weights": weights}


def _without_number(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _hdf5(file: Path | io.BytesIO) -> list[Any]:
    found: list[Any] = []

    def look(name: str, item: Any) -> None:
        attributes = []
        for key, value in item.attrs.items():
            shown = value.tolist() if hasattr(value, "tolist") else value
            is_config = key in {"model_config", "training_config"}
            attributes.append([key, _config(shown) if is_config else str(shown)])
        values = [str(item.dtype), list(item.shape), item[()].tobytes().hex()] if hasattr(item, "shape") else []
        found.append([name, attributes, values])

    with h5py.File(file) as opened:
        look("", opened)
        opened.visititems(look)
    return found


def _config(written: str | bytes) -> Any:
    """Returns a config without what may differ. Keras forgets that a Sequential model is frozen when it loads it."""

    def thawed(entry: Json) -> Json:
        is_sequential = entry.get("class_name") == "Sequential" and "trainable" in entry["config"]
        return {**entry, "config": {**entry["config"], "trainable": True}} if is_sequential else entry

    return comparable(json.loads(written, object_hook=thawed))


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Yields where two JSON values differ, and how. The order of keys does not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from differences(one.get(key, "nothing"), other.get(key, "nothing"), f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{at}[{number}]")
    elif type(one) is not type(other) or one != other:
        yield f"{at}: {one!r:.200} / {other!r:.200}"


def report(names: Sequence[str], folder: Path) -> bool:
    """Compares the mutants of some models, and prints what differs and what was compared. Returns whether all agree."""
    counts: Counter[str] = Counter()
    for start in range(0, len(names), TOGETHER):
        for name, done in compare(names[start : start + TOGETHER], folder).items():
            for op, compared in done.items():
                counts.update(_counted(compared))
                for line in _lines(compared):
                    print(f"{name} {op} {line}", flush=True)
            print(f"{name}: {len(done)} ops", flush=True)
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
    return not any("different" in what for what in counts)


def _counted(compared: Compared) -> list[str]:
    return [
        "mutants",
        *(["mutants that Keras built"] if compared.by_keras else []),
        *(f"{kind}: no pair: {why}" for kind, why in compared.refused.items()),
        *(f"{kind}: {'different' if found else 'equal'}" for kind, found in compared.differing.items()),
        *(f"{kind}: equal, arguments in another order" for kind in compared.reordered),
    ]


def _lines(compared: Compared) -> Iterator[str]:
    if compared.by_keras:
        yield f"by Keras: {compared.by_keras}"
    yield from (f"{kind}: {each}" for kind, found in compared.differing.items() for each in found)
