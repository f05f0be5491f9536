"""Steps for the table: for each structural op a few candidates, and what a mutant should predict.

A candidate is a step and an expectation. The first candidate that mutspec accepts is the one that is shown. Targets are
chosen by what Keras says about the model, not by what mutspec knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

Json = dict[str, Any]
Candidate = tuple[Json, Json]

SAME: Json = {"kind": "same"}
FINITE: Json = {"kind": "finite"}
MOST_TRIED = 6
"""The most candidates of an op on a model."""

_ACTS_IN_TRAINING = ("Dropout", "GaussianNoise", "SpatialDropout2D")
_MAKES_MASKS = ("Masking", "Embedding")
_MERGES = ("Add", "Average", "Concatenate", "Maximum", "Multiply", "Subtract")
_HAS_UNITS = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D"),
    *("SimpleRNN", "GRU", "LSTM", "Bidirectional", "RNN", "TimeDistributed", "MultiHeadAttention"),
)
_BY_ACTIVATION = ("Dense", "Conv2D", "Conv1D", "SeparableConv2D", "DepthwiseConv2D", "EinsumDense", "Activation")


def changed(path: str, *how: str) -> Json:
    """The expectation that the model predicts what its base does with one layer called otherwise."""
    return {"kind": "run", "changes": [[path, *how]]}


@dataclass(frozen=True)
class Layer:
    """What Keras says of a layer: where it stands, what it takes and makes."""

    path: str
    name: str
    model: str
    class_name: str
    is_layer: bool
    calls: int
    sources: tuple[str, ...]
    taken: tuple[tuple[int | None, ...], ...]
    made: tuple[tuple[int | None, ...], ...]
    has_mask: bool
    dtypes: tuple[str, ...]
    activation: Any
    groups: int
    config: str
    weights: tuple[tuple[int, ...], ...]

    @property
    def is_input(self) -> bool:
        return self.class_name == "InputLayer"

    @property
    def makes_one(self) -> bool:
        """Whether it is a layer that is called once and makes one tensor of floating-point numbers."""
        one = self.is_layer and not self.is_input and self.calls == len(self.made) == 1
        return one and self.dtypes[0].startswith(("float", "bfloat")) and self.made[0][-1] is not None

    @property
    def is_plain(self) -> bool:
        """Whether it is a layer that is called once on one tensor and makes one tensor of floating-point numbers."""
        return self.makes_one and len(self.taken) == 1

    @property
    def keeps_shape(self) -> bool:
        return self.is_plain and self.taken == self.made and self.class_name not in _MAKES_MASKS


@dataclass(frozen=True)
class Outline:
    """The layers of a model, by which targets are chosen."""

    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    class_name: str

    @classmethod
    def of(cls, written: Json) -> Outline:
        """The outline that `plain_keras.prepare` has written."""

        def frozen(value: Any) -> Any:
            return tuple(map(frozen, value)) if isinstance(value, list) else value

        layers = []
        for each in written["layers"]:
            fields = {key: frozen(value) for key, value in each.items() if key not in {"class", "activation"}}
            layers.append(Layer(class_name=each["class"], activation=each["activation"], **fields))
        return cls(tuple(layers), tuple(written["outputs"]), written["class"])

    @cached_property
    def by_path(self) -> dict[str, Layer]:
        return {layer.path: layer for layer in self.layers}

    @cached_property
    def models(self) -> list[Layer]:
        """The models in the model, the innermost last."""
        inside = {layer.model for layer in self.layers}
        return [layer for layer in self.layers if f"{layer.path}/" in inside]

    @property
    def rounding(self) -> Json:
        """The tolerance of what half precision rounds elsewhere than before; else that of the table."""
        is_half = any("16" in dtype for layer in self.layers for dtype in layer.dtypes)
        return {"tolerance": 2e-2} if is_half else {}

    @cached_property
    def plain(self) -> list[Layer]:
        """Plain layers: those of the deepest models first; in each, from the middle on."""
        found: list[Layer] = []
        depths = sorted({layer.model for layer in self.layers}, key=lambda model: -model.count("/"))
        for model in depths:
            here = [layer for layer in self.layers if layer.model == model and layer.is_plain]
            here = [layer for layer in here if layer not in self.models]
            found += here[len(here) // 2 :] + here[: len(here) // 2]
        return found

    @cached_property
    def outermost(self) -> list[Layer]:
        """Layers that make one tensor and are not inside models: plain ones first, those without a mask first."""
        others = [layer for layer in self.layers if layer.makes_one and layer not in self.plain]
        found = [layer for layer in (*self.plain, *others) if not layer.model]
        return sorted(found, key=lambda layer: layer.has_mask)

    @cached_property
    def keeping_shape(self) -> list[Layer]:
        """Plain layers whose output has the shape of their input; those that only act in training come last."""
        found = [layer for layer in self.plain if layer.keeps_shape]
        return sorted(found, key=lambda layer: layer.class_name in _ACTS_IN_TRAINING)

    @cached_property
    def middle(self) -> Layer:
        """A layer for steps that make no sense on the model, to see why they are refused."""
        return next(iter(self.plain), next(layer for layer in self.layers if not layer.is_input))

    def source(self, layer: Layer, number: int = 0) -> Layer:
        """The layer that makes one of the tensors that a layer takes."""
        return self.by_path[layer.model + layer.sources[number]]


def candidates(op: str, outline: Outline) -> list[Candidate]:
    """Returns what can be tried of an op on a model: the last candidate says why it is refused if all are."""
    found = [({"op": op, **step}, expectation) for step, expectation in STEPS[op](outline)]
    return found[:MOST_TRIED] + found[-1:] if len(found) > MOST_TRIED else found


def _insert(outline: Outline) -> Iterator[Candidate]:
    dense = {"type": "Dense", "units": "same", "activation": "tanh", "name": "inserted"}
    for layer in outline.plain or [outline.middle]:
        yield {"after": layer.path, "layer": dense}, changed(layer.path, "then_new", f"{layer.model}inserted")


def _remove(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.keeping_shape:
        yield {"target": layer.path}, changed(layer.path, "skipped")
    middle = outline.middle
    is_simple = len(middle.taken) == 1 and middle.class_name not in _MAKES_MASKS
    yield {"target": middle.path}, changed(middle.path, "skipped") if is_simple else FINITE


def _replace(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.plain:
        if layer.class_name == "Conv2D" and layer.groups == 1:
            new: Json = {"layer": {"type": "SeparableConv2D"}, "inherit": True}
        elif layer.class_name in {"Dense", "EinsumDense"}:
            new = {"layer": {"type": "Dense", "units": "same", "activation": "tanh"}}
        elif layer.keeps_shape:
            new = {"layer": {"type": "Activation", "activation": "tanh"}}
        else:
            continue
        yield {"target": layer.path, **new}, changed(layer.path, "new", layer.path)
    path = outline.middle.path
    yield {"target": path, "layer": {"type": "Dense", "units": "same"}}, changed(path, "new", path)


def _configure(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.plain:
        if layer.class_name in _BY_ACTIVATION:
            expectation = changed(layer.path, "activated", layer.path, "softsign")
            yield {"target": layer.path, "set": {"activation": "softsign"}}, expectation
    yield {"target": outline.middle.path, "set": {"trainable": False}}, SAME


def _duplicate(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.keeping_shape:
        yield {"target": layer.path}, changed(layer.path, "twice")
    yield {"target": outline.middle.path}, changed(outline.middle.path, "twice")


def _pairs(outline: Outline) -> Iterator[tuple[Layer, Layer]]:
    """Pairs of plain layers of one class and with the same shapes, in one model."""
    groups: dict[Any, list[Layer]] = {}
    for layer in outline.plain:
        groups.setdefault((layer.model, layer.class_name, layer.taken, layer.made, layer.weights), []).append(layer)
    have_weights = sorted(groups.values(), key=lambda group: not group[0].weights)
    for group in have_weights:
        yield from combinations(group[:2], 2)


def _swap(outline: Outline) -> Iterator[Candidate]:
    for one, other in _pairs(outline):
        exchange = [[one.path, "another", other.path], [other.path, "another", one.path]]
        yield {"target": one.path, "other": other.path}, {"kind": "run", "changes": exchange}
    for layer in outline.keeping_shape:
        before = outline.source(layer)
        if before.keeps_shape:
            exchange = [[before.path, "another", layer.path], [layer.path, "another", before.path]]
            yield {"target": before.path, "other": layer.path}, {"kind": "run", "changes": exchange}
    others = [layer for layer in outline.layers if layer.model == outline.middle.model and layer != outline.middle]
    yield {"target": outline.middle.path, "other": others[-1].path}, FINITE


def _rewire(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.plain:
        before = outline.source(layer)
        if before.keeps_shape:
            to = outline.source(before).path
            yield {"target": layer.path, "to": to}, changed(layer.path, "taking", to)
    for layer in outline.layers:
        if layer.is_layer and layer.calls == 1 and len(layer.sources) > 1:
            to = outline.source(layer, 1).path
            expectation = changed(layer.path, "merging", to) if layer.class_name in _MERGES else FINITE
            yield {"target": layer.path, "to": to, "input": layer.sources[0]}, expectation
    for layer in (each for each in reversed(outline.outermost) if each.is_plain):
        taken = layer.taken[0]
        far = [each for each in outline.layers if not each.model and each.made == (taken,) and each.path != layer.path]
        for each in far:
            if each.name not in layer.sources:
                yield {"target": layer.path, "to": each.path}, FINITE
    before = outline.source(outline.middle)
    to = (outline.source(before) if before.sources else before).path
    yield {"target": outline.middle.path, "to": to}, changed(outline.middle.path, "taking", to)


def _rename_layer(outline: Outline) -> Iterator[Candidate]:
    yield {"target": outline.middle.path, "to": "renamed_{name}"}, SAME


def _rename_model(outline: Outline) -> Iterator[Candidate]:
    yield {"to": "another_name"}, SAME


def _fold(outline: Outline) -> Iterator[Candidate]:
    every = {"target": {"type": "BatchNormalization"}}
    expectation = SAME | outline.rounding
    yield every, expectation
    yield {**every, "on_unfoldable": "skip"}, expectation
    for layer in outline.layers:
        if layer.class_name == "BatchNormalization":
            yield {"target": layer.path}, expectation


def _deepen(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.plain:
        if layer.class_name in {"Dense", "Conv1D", "Conv2D", "Conv3D"}:
            yield {"target": layer.path}, SAME
    yield {"target": outline.middle.path}, SAME


def _windows(outline: Outline) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Convolutions that are plain layers, with the sizes of their windows; if there are none, another layer."""
    found = [(layer.path, layer.weights[0][:-2]) for layer in outline.plain if "Conv" in layer.class_name]
    yield from found or [(outline.middle.path, (3,))]


def _grow(outline: Outline) -> Iterator[Candidate]:
    for path, window in _windows(outline):
        yield {"target": path, "kernel_size": [size + 2 for size in window], "pad": True}, SAME


def _shrink(outline: Outline) -> Iterator[Candidate]:
    for path, window in sorted(_windows(outline), key=lambda found: -max(found[1])):
        yield {"target": path, "kernel_size": [max(size - 2, 1) for size in window], "crop": True}, FINITE


def _factorize(outline: Outline) -> Iterator[Candidate]:
    at_full_rank = {**SAME, "tolerance": 1e-4} | outline.rounding
    for layer in outline.plain:
        if layer.class_name in {"Dense", "Conv1D", "Conv2D", "Conv3D"}:
            yield {"target": layer.path, "rank": "100%"}, at_full_rank
    yield {"target": outline.middle.path, "rank": "100%"}, at_full_rank


def _with_units(outline: Outline) -> Iterator[str]:
    """Layers whose units can change, those with several tensors last; then another layer."""
    for layer in (*outline.plain, *(each for each in outline.layers if each.makes_one and not each.is_plain)):
        if layer.class_name in _HAS_UNITS:
            yield layer.path
    yield outline.middle.path


def _remove_neurons(outline: Outline) -> Iterator[Candidate]:
    masked = {"kind": "masked", "tolerance": 1e-4} | outline.rounding
    for path in _with_units(outline):
        yield {"target": path, "indices": [0]}, masked


def _widen(outline: Outline) -> Iterator[Candidate]:
    for path in _with_units(outline):
        yield {"target": path, "factor": 1.5}, {**SAME, "tolerance": 1e-4} | outline.rounding


def _resize_output(outline: Outline) -> Iterator[Candidate]:
    """A class fewer, the first two in another order, and a new one."""
    places = [({}, outline.outputs[0]), *(({"target": name}, name) for name in outline.outputs)]
    for target, name in places:
        layer = outline.by_path.get(name, outline.middle)
        keep = [1, 0] if (layer.made[0][-1] or 0) > 1 else [0]
        kept = {"kind": "classes", "keep": keep, "output": outline.outputs.index(name), "tolerance": 1e-4}
        yield {**target, "units": len(keep) + 1, "keep": keep, "initialize": "zero"}, kept | outline.rounding


def _resize_embedding(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.layers:
        if layer.class_name == "Embedding":
            yield {"target": layer.path, "input_dim": layer.weights[0][0] + 5}, SAME
    yield {"target": outline.middle.path, "input_dim": 100}, SAME


def _set_dtype_policy(outline: Outline) -> Iterator[Candidate]:
    yield {"policy": "float64"}, {**SAME, "tolerance": 1e-4} | outline.rounding


def _convert(outline: Outline) -> Iterator[Candidate]:
    yield {"to": "functional"}, SAME
    yield {"to": "sequential"}, SAME
    yield {"to": "channels_first"}, {"kind": "transposed", "tolerance": 1e-4}


def _set_input(outline: Outline) -> Iterator[Candidate]:
    inputs = [layer for layer in outline.layers if layer.is_input and not layer.model]
    for layer in inputs:
        name = {"input": layer.name} if len(inputs) > 1 else {}
        axes = layer.made[0][1:-1]
        if len(axes) == 2:
            yield {**name, "size": [extent + 8 for extent in axes if extent]}, SAME
        if len(axes) == 1 or (len(layer.made[0]) == 2 and "int" in layer.dtypes[0]):
            yield {**name, "length": (layer.made[0][1] or 0) + 2}, SAME
        yield {**name, "batch_size": 3}, SAME


def _share(outline: Outline) -> Iterator[Candidate]:
    pairs = [pair for pair in _pairs(outline) if pair[0].config == pair[1].config and pair[0].weights]
    order = {layer.path: number for number, layer in enumerate(outline.layers)}
    for pair in pairs:
        one, other = sorted(pair, key=lambda layer: order[layer.path])
        yield {"target": [one.path, other.path]}, changed(other.path, "another", one.path)
    of_class: dict[tuple[str, str], list[str]] = {}
    for layer in outline.layers:
        if layer.weights:
            of_class.setdefault((layer.model, layer.class_name), []).append(layer.path)
    yield {"target": max(of_class.values(), key=lambda paths: len(paths[:2]))[:2]}, FINITE


def _unshare(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.layers:
        if layer.calls > 1 and layer.is_layer:
            yield {"target": layer.path}, SAME
    yield {"target": outline.middle.path}, SAME


def _nest(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.plain:
        before = outline.source(layer)
        if before.is_plain:
            yield {"target": [before.path, layer.path], "name": "nested_part"}, SAME
    for layer in outline.outermost:
        yield {"target": layer.path, "name": "nested_part"}, SAME
    yield {"target": outline.middle.path, "name": "nested_part"}, SAME


def _inline(outline: Outline) -> Iterator[Candidate]:
    for model in outline.models:
        yield {"target": model.path}, SAME
        yield {"target": model.path, "names": "{model}_{name}"}, SAME
    if not outline.models:
        yield {"target": outline.middle.path}, SAME


def _graft(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.keeping_shape:
        yield {"source": f"second:{layer.path}", "after": layer.path}, changed(layer.path, "then_second", layer.path)
    path = outline.middle.path
    yield {"source": f"second:{path}", "after": path}, changed(path, "then_second", path)


def _join(outline: Outline) -> Iterator[Candidate]:
    yield {"source": "second:", "layer": {"type": "Average"}}, {"kind": "mean"} | outline.rounding


def _extract(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.outermost:
        yield {"to": layer.path}, {"kind": "run", "only": [layer.path]}
    yield {"to": outline.middle.path}, FINITE


def _add_output(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.outermost:
        if layer.path not in outline.outputs:
            yield {"target": layer.path}, {"kind": "run", "more": layer.path}
    yield {"target": outline.middle.path}, FINITE


def _remove_output(outline: Outline) -> Iterator[Candidate]:
    for name in outline.outputs[::-1]:
        gone = [number for number, each in enumerate(outline.outputs) if each == name]
        yield {"target": name}, {"kind": "run", "without": gone}


def _add_input(outline: Outline) -> Iterator[Candidate]:
    for layer in outline.outermost:
        step = {"after": layer.path, "shape": list(layer.made[0][1:]), "name": "extra", "layer": {"type": "Add"}}
        yield step, changed(layer.path, "plus", "extra")
    if not outline.outermost:
        yield {"after": outline.middle.path, "shape": [1], "name": "extra", "layer": {"type": "Add"}}, FINITE


STEPS: dict[str, Callable[[Outline], Iterator[Candidate]]] = {
    "insert_layer": _insert,
    "remove_layer": _remove,
    "replace_layer": _replace,
    "configure_layer": _configure,
    "duplicate_layers": _duplicate,
    "swap_layers": _swap,
    "rewire": _rewire,
    "rename_layer": _rename_layer,
    "rename_model": _rename_model,
    "fold_batch_normalization": _fold,
    "deepen": _deepen,
    "grow_kernel": _grow,
    "shrink_kernel": _shrink,
    "factorize_layer": _factorize,
    "remove_neurons": _remove_neurons,
    "widen_layer": _widen,
    "resize_output": _resize_output,
    "resize_embedding": _resize_embedding,
    "set_dtype_policy": _set_dtype_policy,
    "convert": _convert,
    "set_input": _set_input,
    "share_weights": _share,
    "unshare_weights": _unshare,
    "nest_layers": _nest,
    "inline_model": _inline,
    "graft": _graft,
    "join": _join,
    "extract": _extract,
    "add_output": _add_output,
    "remove_output": _remove_output,
    "add_input": _add_input,
}
"""For each structural op, what to try."""
