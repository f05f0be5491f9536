"""Mistakes in steps that change widths: amounts, units that must stay, layers that nobody knows."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import Mistake, step

_REMOVE = "remove_neurons, target: dense_1"


def _removed(keys: str, at: int, *said: str) -> Mistake:
    """Units that are removed from `dense_1` of the digits model, which has 40."""
    return step(f"{_REMOVE}, {keys}", f"3:{at}", *said)


MISTAKES: dict[str, Mistake] = {
    # Amounts
    "no amount of units": step(_REMOVE, "3:8", "needs an amount of units", "`count: 2`"),
    "two amounts of units": _removed("count: 2, fraction: 50%", 48, "cannot be used together", "one amount"),
    "a unit that is not there": _removed("indices: [40]", 51, "index 40 is outside `dense_1`", "from 0 to 39"),
    "a unit named twice": _removed("indices: [1, -39]", 54, "1 and -39 name the same unit", "each unit once"),
    "all units": _removed("count: 40", 48, "has 40 units, and none would stay", "`remove_layer`"),
    "a share of all units": _removed("fraction: 100%", 51, "none would stay", "fewer"),
    "no units": _removed("fraction: 0", 51, "comes to 0 units", "`allow_empty: true`"),
    "nothing after rounding": _removed("count: 3, round_to: 8", 48, "0 units after rounding", "raise it"),
    "more units than all targets have": step(
        "remove_neurons, target: [conv_1, dense_1], count: 100, per: all", "3:58", "of 56 only 56 may go", "lower it"
    ),
    "an order of what is listed": _removed("indices: [1], rank: smallest", 61, "cannot be used together", "keep one"),
    "a list over all layers": _removed("indices: [1], per: all", 60, "within each layer", "leave `per` out"),
    "a rounded list": _removed("indices: [1], round_to: 4", 65, "nothing to round", "leave `round_to` out"),
    "units of a tensor": _removed("count: 1, per: tensor", 56, "`per` takes `all` or `layer`"),
    "rounding to nothing": _removed("count: 1, round_to: 0", 61, "at least 1, not 0"),
    "a misspelt coupling": _removed("count: 1, coupled: propogate", 60, "did you mean `propagate`"),
    "a measure that is not there": _removed("count: 1, by: l3", 55, "`activation`, `gamma`, `l1` or `l2`"),
    "a gamma that is not there": _removed("count: 1, by: gamma", 55, "not followed by a batch norm", "`by: l2`"),
    "activations without data": _removed("count: 1, by: activation", 55, "gives no data", "--data FILE.npz"),
    "a width that is not there": _removed("count: 1, argument: filters", 61, "no width `filters`", "it has `units`"),
    "a rounded mask": step(
        "mask_neurons, target: dense_1, count: 1, round_to: 8", "3:49", "has no key `round_to`", "did you mean"
    ),
    # Units that must stay
    "units that are outputs": step(
        "remove_neurons, target: logits, count: 1", "3:32", "an output of the model", "`outputs: true`"
    ),
    "units that are outputs, masked": step("mask_neurons, target: logits, count: 1", "3:30", "an output of the model"),
    "units that are added to an input": step(
        "remove_neurons, target: down, count: 1",
        "3:32",
        "coupled to `input_layer`, an input of the model",
        "`set_input`",
        model="transformer",
    ),
    "channels of an input": step(
        "remove_neurons, target: depthwise_conv2d, count: 1", "3:32", "an input of the model", model="depthwise"
    ),
    "coupled units that are refused": step(
        "remove_neurons, target: branch, count: 1, coupled: refuse",
        "3:59",
        "units of `stem` would go too",
        "add these layers to the target",
        model="residual",
    ),
    # Barriers
    "units before a class that nobody knows": step(
        "remove_neurons, target: dense, count: 1",
        "3:32",
        "because `gate` is of the class `zoo>Gate`, whose axes nobody has declared",
        "`on_unremovable: skip`",
        "`declare_layer_axes`",
        model="custom_layer",
    ),
    "units of a class that nobody knows": step(
        "remove_neurons, target: gate, count: 1",
        "3:32",
        "`gate` (Gate) is of the class `zoo>Gate`, whose axes",
        model="custom_layer",
    ),
    "only units that must stay, skipped": step(
        "remove_neurons, target: {type: Dense}, count: 1, on_unremovable: skip",
        "3:32",
        "whose axes nobody has declared",
        "an output of the model",
        model="custom_layer",
    ),
    "units of a pooling": step(
        "remove_neurons, target: pool, count: 1", "3:32", "(MaxPooling2D) has no units", "such as Dense and Conv2D"
    ),
    "units of an input": step("remove_neurons, target: image, count: 1", "3:32", "(InputLayer) has no units"),
    "units of a model": step(
        "remove_neurons, target: encoder, count: 1", "3:32", "`encoder` (Functional) has no units", model="nested"
    ),
    "heads by another name": step(
        "remove_neurons, target: mha, count: 1, argument: heads",
        "3:57",
        "no width `heads`",
        "`num_heads`, `key_dim`",
        model="transformer",
    ),
    "all heads": step(
        "remove_neurons, target: mha, count: 2", "3:44", "has 2 units, and none would stay", model="transformer"
    ),
    # Models that nobody can edit
    "units of a model of code": step(
        "remove_neurons, target: first, count: 1", "3:8", "called by code", model="subclassed"
    ),
    "units beside a shared layer": step(
        "remove_neurons, target: dense, count: 1", "3:8", "is shared with", model="shared_with_nested"
    ),
    "masks of weights alone": Mistake(
        "op: mask_neurons, target: stem, count: 1", "3:8", ("a file of only weights",), "named.weights.h5", ""
    ),
    # Wider layers
    "no width": step("widen_layer, target: dense_1", "3:8", "needs a number of units", "`to: 64`"),
    "a width below that of now": step(
        "widen_layer, target: dense_1, to: 20", "3:42", "has 40 units already", "`remove_neurons`"
    ),
    "two widths": step("widen_layer, target: dense_1, to: 50, factor: 2", "3:54", "cannot be used together"),
    "a wider output": step("widen_layer, target: logits, to: 12", "3:29", "an output of the model", "`resize_output`"),
    "wider before a class that nobody knows": step(
        "widen_layer, target: dense, factor: 2",
        "3:29",
        "`gate` is of the class `zoo>Gate`",
        "declare the axes",
        model="custom_layer",
    ),
    "wider before whole numbers": step(
        "widen_layer, target: dense_1, factor: 2",
        "3:29",
        "`dense` rounds its inputs by the largest of them",
        "`approximate: true`",
        model="quantized_int8",
    ),
    # Other outputs and inputs
    "as many classes as before": step("resize_output, units: 10", "3:8", "has these 10 classes already"),
    "names of too few classes": step(
        "resize_output, classes: [a, b], old_classes: [a]", "3:53", "has 10 classes", "name all of them"
    ),
    "a vocabulary of a dense layer": step(
        "resize_embedding, target: dense_1, input_dim: 3", "3:34", "has no vocabulary", "the class Embedding"
    ),
    "channels of nothing": step("set_input, channels: 1", "3:29", "`channels` needs `from`", "`from: mean`"),
    "the light of a gray image": step(
        "set_input, channels: 3, from: luminosity", "3:38", "red, green and blue", "`from: mean`"
    ),
}
"""Mistakes in steps that change widths."""
