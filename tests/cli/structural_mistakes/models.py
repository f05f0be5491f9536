"""Mistakes in steps on whole models: which can be edited, morphisms, conversions, inputs and shared layers."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import Mistake, step

MISTAKES: dict[str, Mistake] = {
    # Models that stay as they are
    "a layer inside a wrapper": step(
        "rename_layer, target: both/forward_gates, to: x",
        "3:30",
        "inside `both` (Bidirectional)",
        "name `both`",
        model="bidirectional",
    ),
    "a layer shared with a nested model": step(
        "remove_layer, target: shared", "3:8", "is shared with", "only steps on weights", model="shared_with_nested"
    ),
    "a model of code": step(
        "remove_layer, target: dense", "3:8", "called by code", "a Functional or Sequential model", model="subclassed"
    ),
    "a policy that Keras cannot build": step(
        "set_dtype_policy, policy: bfloat16", "3:34", "orthogonal matrix", "mixed_bfloat16", model="bidirectional"
    ),
    # Models that cannot be edited
    "weights alone": Mistake(
        "op: remove_layer, target: relu", "3:8", ("a file of only weights", "the whole model"), "named.weights.h5", ""
    ),
    # Morphisms
    "a folded layer that is no normalization": step(
        "fold_batch_normalization, target: conv_1",
        "3:42",
        "`conv_1` is a Conv2D, and not a BatchNormalization",
        "alone",
    ),
    "a normalization after a sum": step(
        "fold_batch_normalization, target: middle/batch_normalization_1",
        "3:42",
        "cannot be folded: before it, `inner` is a model; after it, its output is one of the model",
        "`on_unfoldable: skip`",
        model="nested_twice_deep",
    ),
    "what to do with what cannot be folded": step(
        "fold_batch_normalization, target: bn_1, on_unfoldable: keep", "3:63", "`error` or `skip`"
    ),
    "a deeper pooling": step(
        "deepen, target: pool", "3:24", "`pool` is a MaxPooling2D", "Dense, Conv1D", "`insert_layer`"
    ),
    "a window of a dense layer": step(
        "deepen, target: dense_1, kernel_size: 3", "3:46", "`dense_1` is a Dense, and has no window", "convolutions"
    ),
    "a deeper softmax": step("deepen, target: logits, activation: softmax", "3:44", "another `softmax` changes"),
    "a deeper layer with a misspelt activation": step(
        "deepen, target: dense_1, activation: rellu", "3:45", "unknown activation `rellu`", "did you mean `relu`"
    ),
    # Conversions
    "a misspelt policy": step("set_dtype_policy, policy: mixed_float32", "3:34", "`mixed_float16`"),
    "a policy for quantised layers": step(
        "set_dtype_policy, policy: float16", "3:34", "is quantised (int8)", "with `not:`", model="quantized_int8"
    ),
    "a policy for a layer in a wrapper": step(
        "set_dtype_policy, policy: float16, target: both/forward_gates", "3:51", "inside `both`", model="bidirectional"
    ),
    "a chain with branches": step(
        "convert, to: sequential",
        "3:21",
        "`residual` is not a chain of layers: the output of `image` is used by `stem` and `concat`",
        "leave it Functional",
        model="residual",
    ),
    "a model that is functional": step("convert, to: functional", "3:21", "`digits` is a Functional model already"),
    "a layer as a model": step(
        "convert, to: sequential, target: conv_1", "3:41", "`conv_1` is a Conv2D, and not a model", "leave `target` out"
    ),
    "the data format of a part": step(
        "convert, to: channels_first, target: conv_1", "3:45", "that of the whole model", "leave `target` out"
    ),
    "a data format that it has": step("convert, to: channels_last", "3:21", "no layer has another data format"),
    # Inputs
    "nothing for an input": step("set_input", "3:8", "changes nothing", "give a `shape`"),
    "two shapes": step("set_input, shape: [9, 9, 1], size: 9", "3:43", "both say what the shape is", "one of"),
    "an input that is not there": step("set_input, input: imag, size: 9", "3:26", "no input `imag`", "`image`?"),
    "a size of other rank": step(
        "set_input, size: [9, 9, 9]", "3:25", "`size` has 3 extents", "has 2 between", "`shape`"
    ),
    "a size that a dense layer cannot follow": step(
        "set_input, size: 12",
        "3:8",
        "`dense_1` has a kernel of 512×40, but its inputs, (None, 1152), need 1152×40",
        "`replace_layer`",
    ),
    "the shape that it has": step(
        "set_input, size: 8", "3:8", "has this shape and dtype already", "leave the step out"
    ),
    # Sharing
    "one layer to share": step("share_weights, target: dense_1", "3:31", "is one layer, and two or more can share"),
    "layers of two classes to share": step(
        "share_weights, target: [dense_1, conv_1]", "3:31", "is a Conv2D, and `dense_1` is a Dense", "of one class"
    ),
    "layers of two widths to share": step(
        "share_weights, target: [dense_1, logits]", "3:31", "`units` of `dense_1` and `logits` differs"
    ),
    "a layer to split that is called once": step(
        "unshare_weights, target: dense_1", "3:33", "`dense_1` is called once", "called several times"
    ),
}
