"""Mistakes in names and arguments."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import Mistake, step

MISTAKES: dict[str, Mistake] = {
    "a rename to a taken name": step("rename_layer, target: dense_1, to: logits", "3:43", "already", "another name"),
    "a rename to the same name": step(
        "rename_layer, target: dense_1, to: dense_1", "3:43", "called that already", "another"
    ),
    "a rename to a path": step("rename_layer, target: dense_1, to: a/b", "3:43", "holds a `/`", "use a `_`"),
    "a rename to nothing": step('rename_layer, target: dense_1, to: ""', "3:43", "is empty", "another name"),
    "a misspelt place in a name": step(
        'rename_layer, target: "conv_*", to: "{nmae}_x"', "3:44", "`to` knows no `{nmae}`", "{regex: '.*', with:"
    ),
    "a rename with NUL": step('rename_layer, target: dense_1, to: "a\\0b"', "3:43", "U+0000", "another name"),
    "an argument that is so already": step(
        "configure_layer, target: dense_1, set: {activation: relu}",
        "3:47",
        "`dense_1` has `activation: relu` already",
        "`allow_empty: true`",
    ),
    "texts for a convolution": step(
        "set_input, dtype: string", "3:8", "`conv_1` (Conv2D) takes numbers, but gets string", "replace_layer"
    ),
    "whole numbers for a convolution": step(
        "set_input, dtype: uint8", "3:8", "`conv_1` (Conv2D) takes floats, but gets uint8", "replace_layer"
    ),
    "a rename of several": step(
        'rename_layer, target: "conv_*", to: x', "3:30", "matches 2 layers: `conv_1`, `conv_2`", "a step for each"
    ),
    "units that are configured": step(
        "configure_layer, target: dense_1, set: {units: 20}",
        "3:55",
        "`units: 20` changes the kernel of `dense_1` from 512×40 to 512×20",
        "use `remove_neurons`, with `count: 20`",
    ),
    "a bias that is configured away": step(
        "configure_layer, target: dense_1, set: {activation: relu, use_bias: false}",
        "3:76",
        "removes the bias of `dense_1`",
        "use `replace_layer`",
    ),
    "an output that is configured": step(
        "configure_layer, target: conv_1, set: {strides: 2}", "3:56", "changes the output of `conv_1` from (None, "
    ),
    "a dtype that is configured": step(
        "configure_layer, target: dense_1, set: {dtype: float16}", "3:55", "`dtype` of a Dense", "`set_dtype_policy`"
    ),
    "a state without a batch size": step(
        "configure_layer, target: lstm, set: {stateful: true}",
        "3:55",
        "needs a known batch size",
        "a batch size first",
        model="embedding_mask",
    ),
    "an argument of the layer in a wrapper": step(
        "configure_layer, target: both, set: {units: 3}",
        "3:52",
        "a Bidirectional has no argument `units`",
        "name `both/forward_gates` or `both/backward_gates`",
        model="bidirectional",
    ),
    "another layer in a wrapper": step(
        "configure_layer, target: both, set: {layer: {type: LSTM, units: 2}}",
        "3:52",
        "`layer` of a Bidirectional cannot be set",
        "name the layer in it",
        model="bidirectional",
    ),
    "one direction with a state": step(
        "configure_layer, target: both/forward_gates, set: {return_state: true}",
        "3:73",
        "the same value for attribute",
        "name both layers in it: `both/*`",
        model="bidirectional",
    ),
    "an argument of a model": step(
        "configure_layer, target: encoder, set: {activation: relu}",
        "3:33",
        "`encoder` is a model",
        "name the layers in it",
        model="nested",
    ),
    "two layers with one new name": step(
        "rename_layer, target: 'conv_*', to: {regex: '(conv)_.*', with: '\\1'}",
        "3:44",
        "`conv_1` and `conv_2` would both be called `conv`",
        "another name",
    ),
    "a new name that another layer has": step(
        "rename_layer, target: 'conv_*', to: {regex: 'conv_(.)', with: 'bn_\\1'}",
        "3:44",
        "`bn_1`, as another",
        "another",
    ),
    "a name that the expression does not match": step(
        "rename_layer, target: '*', to: {regex: 'conv_(.)', with: 'c_\\1'}", "3:47", "the whole of `image`", "re:conv_"
    ),
    "a group that the expression does not have": step(
        "rename_layer, target: 'conv_*', to: {regex: 'conv_.', with: 'c_\\1'}",
        "3:68",
        "`\\1` is not a group",
        "parenth",
    ),
    "a model that is not there": step("rename_model, model: encodr, to: x", "3:29", "no model `encodr`", "inspect"),
    "a layer for a model": step("rename_model, model: dense_1, to: x", "3:29", "and not a model", "`rename_layer`"),
    "a name that is configured": step("configure_layer, target: dense_1, set: {name: x}", "3:54", "use `rename_layer`"),
    "nothing to set": step("configure_layer, target: dense_1, set: {}", "3:47", "changes nothing", "say what to set"),
    "a misspelt argument to set": step(
        "configure_layer, target: dense_1, set: {actvation: relu}", "3:59", "no argument `actvation`", "`activation`?"
    ),
    "a rate beyond all": step("configure_layer, target: dropout, set: {rate: 2}", "3:54", "from 0 to 1, not 2"),
}
