"""keras-hub's backbones, tiny and with random weights: steps touch what a walk over Keras's layers finds."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.language.types import Selector
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.model.select import SelectorIndex

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

pytest.importorskip("keras_hub", reason="`make test` installs keras-hub")

TINY = {"vocabulary_size": 11, "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 12}
BACKBONES: dict[str, Callable[[Any], Any]] = {
    "bert": lambda hub: hub.BertBackbone(**TINY, num_heads=2, max_sequence_length=6),
    "gpt2": lambda hub: hub.GPT2Backbone(**TINY, num_heads=2, max_sequence_length=6),
    "llama": lambda hub: hub.LlamaBackbone(**TINY, num_query_heads=2, num_key_value_heads=1),
}
MODELS = (*BACKBONES, "bert int8", "llama int4", "gpt2 float8")


@cache
def backbone(name: str) -> Any:
    import keras_hub

    kind, _, mode = name.partition(" ")
    model = BACKBONES[kind](keras_hub.models)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without a `quantize`
        if mode:
            model.quantize(mode)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("hub")

    @cache
    def save(name: str) -> Path:
        path = folder / f"{name.replace(' ', '_')}.keras"
        backbone(name).save(path)
        backbone(name).save_weights(path.with_suffix(".weights.h5"))
        return path

    return save


def found_by_walking(model: Any, weights: str) -> set[int]:
    """The kernels or tables of all layers of Keras's that have one, by identity: an oracle that knows objects alone."""
    import keras

    kinds = (keras.layers.Dense, keras.layers.EinsumDense) if weights == "kernels" else (keras.layers.Embedding,)
    names = ("_kernel",) if weights == "kernels" else ("_embeddings", "reverse_embeddings")
    layers = (layer for layer in model._flatten_layers() if isinstance(layer, kinds))
    return {id(getattr(layer, name)) for layer in layers for name in names if hasattr(layer, name)}


def flips(target: Any) -> Any:
    """A plan that changes one entry of each chosen weight, whatever its dtype."""
    return mutspec.plan({"steps": [{"op": "bit_flip", "target": target, "count": 1, "non_finite": "report"}]})


def values(model: Any) -> list[bytes]:
    return [np.asarray(variable.numpy()).tobytes() for variable in model.weights]


@pytest.mark.parametrize("name", MODELS)
def test_live_a_role_is_what_a_walk_over_the_layers_finds(name: str) -> None:
    model = backbone(name)
    before = values(model)
    for weights in ("kernels", "embeddings"):
        with mutspec.mutated(flips({"weights": weights}), model):
            after = values(model)
        changed = [each for each, one, other in zip(model.weights, before, after, strict=True) if one != other]
        assert {id(each) for each in changed} == found_by_walking(model, weights) != set()
    assert values(model) == before


@pytest.mark.parametrize("name", MODELS)
def test_files_say_the_same_as_the_live_model(saved: Callable[[str], Path], name: str) -> None:
    live, path = read_live(backbone(name)).spec, saved(name)
    for spec in (
        open_archive(path).spec,
        open_archive(path.with_suffix(".weights.h5"), architecture=path).spec,
    ):
        assert spec.tensors == live.tensors
        assert spec.structure_digest == live.structure_digest
        assert [(each.path, each.ancestry) for each in spec.layers] == [
            (each.path, each.ancestry) for each in live.layers
        ]


@pytest.mark.parametrize("name", ["llama", "bert int8"])
@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
def test_in_files_kernels_are_what_a_walk_over_the_layers_finds(
    saved: Callable[[str], Path], tmp_path: Path, name: str, kind: str
) -> None:
    import keras

    model, path = backbone(name), saved(name)
    source, output = path.with_suffix(f".{kind}"), tmp_path / f"mutant.{kind}"
    architecture = path if kind == "weights.h5" else None
    mutspec.apply(flips({"weights": "kernels"}), source, output, architecture=architecture)
    mutant = keras.saving.load_model(path if architecture else output)
    if architecture:
        mutant.load_weights(output)
    assert [each.path for each in mutant.weights] == [each.path for each in model.weights]
    pairs = zip(model.weights, values(model), values(mutant), strict=True)
    assert {id(each) for each, one, other in pairs if one != other} == found_by_walking(model, "kernels")


@pytest.mark.parametrize("name", ["gpt2", "bert int8", "llama int4"])
def test_where_nothing_is_imported_what_is_told_is_true_and_the_rest_is_counted(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    live, path = read_live(backbone(name)).spec, saved(name)
    monkeypatch.delitem(sys.modules, "keras")
    spec = open_archive(path).spec
    pairs = list(zip(live.tensors, spec.tensors, strict=True))
    assert all((one.path, one.origin, one.shape) == (other.path, other.origin, other.shape) for one, other in pairs)
    assert all(one.role == other.role for one, other in pairs if other.has_role)
    assert spec.structure_digest == live.structure_digest
    unknown = [each for each in spec.tensors if not each.has_role]
    known = [each for each in live.tensors if each.role == "kernel" and each not in spec.tensors]
    assert known, "kernels of which the names say nothing"
    (note,) = SelectorIndex(spec).tensors(Selector(weights="kernels")).notes
    assert note.startswith(f"{sum(each.size for each in unknown)} entries in {len(unknown)} weights of ")
    assert "--import" in note


def test_a_loaded_int8_model_is_read_although_keras_cannot_save_it(saved: Callable[[str], Path]) -> None:
    import keras

    loaded = keras.saving.load_model(saved("bert int8"))
    live, again = read_live(backbone("bert int8")), read_live(loaded)
    assert [(each.path, each.role) for each in again.spec.tensors] == [
        (each.path, each.role) for each in live.spec.tensors
    ]
    for path, variable in live.variables.items():
        assert np.array_equal(again.variables[path].numpy(), variable.numpy()), path
