"""Mistakes in structural steps: each gets its place, what is wrong and a remedy, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.zoo import ZOO

ROOT = Path(__file__).parents[2]
FROM_ZOO = (
    "residual",
    "nested",
    "nested_twice_deep",
    "quantized_int8",
    "called_twice",
    "shared_with_nested",
    "subclassed",
    "bidirectional",
    "operators",
    "embedding_mask",
    "initial_state",
)


class Mistake(NamedTuple):
    """A mistake in a step.

    Arguments:
        steps: the steps, from line 3 of the plan on; one each.
        at: the line and column that must be named, `3:29`.
        said: what standard error must contain: what is wrong, and how to fix it.
        model: the model to which the plan is applied.
        output: the output; a dry-run if empty.
        blocks: the plan's blocks, on line 2; the steps are one line further down then.
    """

    steps: tuple[str, ...] | str
    at: str
    said: tuple[str, ...]
    model: str = "digits.keras"
    output: str = "out.keras"
    blocks: str = ""


def insert(layer: str, at: str, *said: str, where: str = "after: dense_1") -> Mistake:
    """A layer that is inserted into the digits model, from column 45 on where it stands after `dense_1`."""
    return Mistake(f"op: insert_layer, {where}, layer: {layer}", at, said)


def step(text: str, at: str, *said: str, model: str = "digits") -> Mistake:
    """One step, put on a model."""
    return Mistake(f"op: {text}", at, said, f"{model}.keras")


def block(blocks: str, at: str, *said: str, layer: str = "{block: a}") -> Mistake:
    """A block of the plan, put into the digits model by the step on line 4."""
    return Mistake(f"op: insert_layer, after: dense_1, layer: {layer}", at, said, blocks=blocks)


DROPOUT = "layer: {type: Dropout, rate: 0.1}"

MISTAKES: dict[str, Mistake] = {
    # Places
    "a misspelt after": step(f"insert_layer, after: dense_11, {DROPOUT}", "3:29", "`dense_11`", "`dense_1`?"),
    "a misspelt before": step(f"insert_layer, before: conv_3, {DROPOUT}", "3:30", "`conv_3`", "did you mean"),
    "a misspelt target to remove": step("remove_layer, target: drpout", "3:30", "`drpout`", "`dropout`?"),
    "a misspelt target to replace": step(f"replace_layer, target: conv1, {DROPOUT}", "3:31", "`conv1`", "`conv_1`"),
    "a misspelt target to rename": step("rename_layer, target: conv1, to: x", "3:30", "`conv1`", "`conv_1`"),
    "a misspelt target to configure": step(
        "configure_layer, target: conv1, set: {activation: relu}", "3:33", "`conv1`", "`conv_1`"
    ),
    "no place": step(f"insert_layer, {DROPOUT}", "3:8", "needs `after` or `before`", "name the layer"),
    "an edge that is not there": step(
        f"insert_layer, after: conv_1, before: logits, {DROPOUT}", "3:45", "called on `conv_1`", "used by `bn_1`"
    ),
    "an edge from the model's output": step(
        f"insert_layer, after: logits, before: conv_1, {DROPOUT}", "3:45", "`logits`", "the model's outputs alone"
    ),
    "an output that is not there": step(
        f"insert_layer, after: conv_1, {DROPOUT}, output: 3", "3:80", "nothing uses output 3 of `conv_1`", "used are: 0"
    ),
    "an output of nothing": step(
        f"insert_layer, before: conv_1, {DROPOUT}, output: 0", "3:81", "`output` is one of `after`", "add `after:"
    ),
    "several outputs": step(
        f"insert_layer, after: split, {DROPOUT}", "3:29", "2 outputs that are used", "`output: 0`", model="operators"
    ),
    "before an input": step(f"insert_layer, before: image, {DROPOUT}", "3:30", "is an input", "`after: image`"),
    "before a layer of several inputs": step(
        f"insert_layer, before: add, {DROPOUT}", "3:30", "`stem`, `norm`", "add `after: <layer>`", model="residual"
    ),
    "a weight for a layer": step(
        "remove_layer, target: dense_1/kernel", "3:30", "the path of a weight, but a layer is needed", "`dense_1`?"
    ),
    "a selector that matches nothing": step("remove_layer, target: {type: LSTM}", "3:37", "no layer of type `LSTM`"),
    # Layers
    "no layer": step("insert_layer, after: dense_1", "3:8", "needs the key `layer`"),
    "an unknown class": insert("{type: Dence, units: 3}", "3:52", "no layer class `Dence`", "`Dense`?"),
    "an unknown argument": insert("{type: Dense, units: same, actvation: relu}", "3:83", "`activation`?"),
    "missing units": insert("{type: Dense}", "3:45", "a Dense needs `units`", "`units: same`"),
    "units below one": insert("{type: Dense, units: -3}", "3:66", "a whole number of at least 1, not -3"),
    "same for a rate": insert("{type: Dropout, rate: same}", "3:67", "takes a number from 0 to 1"),
    "a misspelt activation": insert("{type: Dense, units: same, activation: rellu}", "3:84", "`rellu`", "`relu`"),
    "a misspelt initializer": insert(
        "{type: Dense, units: same, kernel_initializer: glorot}", "3:92", "`glorot_normal`"
    ),
    "an argument of a regularizer": insert(
        "{type: Dense, units: same, kernel_regularizer: {type: L2, l3: 0.1}}", "3:107", "no argument `l3`", "are l2"
    ),
    "a factor that is text": insert(
        "{type: Dense, units: same, kernel_regularizer: {type: L2, l2: much}}",
        "3:107",
        "takes a number of at least 0",
        "{type: L2, l2: 0.01}",
    ),
    "a regularizer in half of Keras's form": insert(
        "{type: Dense, units: same, kernel_regularizer: {class_name: L2, l2: 0.1}}",
        "3:113",
        "has no key `l2`",
        "or write {type: L2, l2: …}",
    ),
    "a function with arguments": insert(
        "{type: Dense, units: same, activation: {type: relu, alpha: 0.1}}",
        "3:84",
        "`relu` is a function",
        "{type: LeakyReLU, negative_slope: 0.1}",
    ),
    "an orthogonal bias": insert(
        "{type: Dense, units: same, bias_initializer: orthogonal}",
        "3:45",
        "`insert_layer/bias`",
        "two axes",
        "such as zeros",
    ),
    "both forms at once": insert(
        "{type: Dense, class_name: Dense}", "3:71", "cannot have both", "class_name: Dense, config"
    ),
    "no class": insert("{units: 2}", "3:45", "as `type`", "{type: Dense, units: 8}"),
    "code": insert("{type: Lambda, function: f}", "3:52", "it runs code"),
    "a port": insert("{type: InputLayer}", "3:52", "an input of the model"),
    "a name that is taken": insert(
        "{type: Flatten, name: logits}", "3:67", "a layer `logits` already", "another `name`"
    ),
    "a name with a slash": insert("{type: Flatten, name: a/b}", "3:67", "without `/`"),
    "one name for two": insert(
        "{type: ReLU, name: d}", "3:73", "`d` already", "leave `name` out", where="after: [conv_1, conv_2]"
    ),
    "an id that is a layer's name": step(
        f"insert_layer, after: dense_1, {DROPOUT}, id: logits", "3:45", "`logits` already", "another `name`"
    ),
    "the wrong rank": insert(
        "{type: Conv2D, filters: same, kernel_size: 3}", "3:45", "rank 4, not (None, 40)", "choose a layer that fits"
    ),
    "groups that do not divide": insert(
        "{type: Conv2D, filters: same, kernel_size: 3, groups: 3}", "3:44", "groups = 3", where="after: conv_1"
    ),
    "a shape of another size": insert("{type: Reshape, target_shape: [3, 3]}", "3:45", "to (3, 3)"),
    "a merge of one": insert("{type: Add}", "3:45", "takes several inputs, and would get one", "that takes one"),
    "a merge in place of another layer": step(
        "replace_layer, target: norm, layer: {type: Add}", "3:44", "would get one", model="residual"
    ),
    "another layer in place of a merge": step(
        "replace_layer, target: add, layer: {type: Dense, units: same}",
        "3:43",
        "takes one input, not 2",
        model="residual",
    ),
    "the wrong rank inside a model": step(
        "insert_layer, after: head, layer: {type: LSTM, units: 3}", "3:42", "rank 3, not (None, 2)", model="nested"
    ),
    # Identities
    "an unknown start": step(
        "insert_layer, after: dense_1, layer: {type: Dense, units: same}, initialize: identty", "3:85", "`identity`?"
    ),
    "an identity that is bent": step(
        "insert_layer, after: conv_1, layer: {type: Dense, units: same, activation: tanh}, initialize: identity",
        "3:102",
        "`activation: tanh`",
        "leave `initialize` out",
    ),
    "an identity of another width": step(
        "insert_layer, after: dense_1, layer: {type: Dense, units: 20}, initialize: identity",
        "3:83",
        "40 channels in and 20 out",
        "leave `initialize` out",
    ),
    "an identity in strides": step(
        "insert_layer, after: relu_1, initialize: identity, "
        "layer: {type: Conv2D, filters: same, kernel_size: 3, padding: same, strides: 2}",
        "3:49",
        "its strides are 2",
        "leave `initialize` out",
    ),
    "an identity of a class that has none": step(
        "insert_layer, after: relu_1, layer: {type: MaxPooling2D}, initialize: identity",
        "3:78",
        "a MaxPooling2D cannot be an identity",
        "leave `initialize` out",
    ),
    # Chains, branches and blocks
    "a layer and layers": step(
        f"insert_layer, after: dense_1, {DROPOUT}, layers: [{{type: ReLU}}]", "3:81", "not both", "write one list"
    ),
    "a chain whose second layer does not fit": step(
        "insert_layer, after: dense_1, layers: [{type: ReLU}, {type: LSTM, units: 3}]", "3:61", "rank 3", "that fits"
    ),
    "a chain with a misspelt class": step(
        "insert_layer, after: dense_1, layers: [{type: ReLU}, {type: Dence, units: 3}]", "3:68", "`Dence`", "`Dense`?"
    ),
    "a merge of one in a chain": step(
        "insert_layer, after: dense_1, layers: [{type: ReLU}, {type: Add}]", "3:61", "would get one", "merge another"
    ),
    "a chain that cannot be an identity": step(
        "insert_layer, after: dense_1, layers: [{type: ReLU}, {type: Softmax}], initialize: identity",
        "3:91",
        "a Softmax cannot be an identity",
        "leave `initialize` out",
    ),
    "a misspelt with": step(
        "insert_layer, after: relu, with: stm, layer: {type: Add}", "3:41", "`stm`", "`stem`?", model="residual"
    ),
    "a with of another model": step(
        "insert_layer, after: dense, with: dense_3, layer: {type: Add}",
        "3:42",
        "`dense_3` is not in `head`, but inside `encoder`",
        "layers of one model",
        model="nested",
    ),
    "a with that comes later": step(
        "insert_layer, after: stem, with: norm, layer: {type: Add}",
        "3:41",
        "a loop, in which no layer can be called first: `norm` → ",
        "does not depend on this place",
        model="residual",
    ),
    "a with of several outputs": step(
        "insert_layer, after: dense, with: split, layer: {type: Add}",
        "3:42",
        "2 outputs",
        "`split:0`",
        model="operators",
    ),
    "a with whose output is not there": step(
        "insert_layer, after: relu, with: 'stem:3', layer: {type: Add}",
        "3:41",
        "no output 3",
        "has: 0",
        model="residual",
    ),
    "a with of another shape": step(
        "insert_layer, after: relu, with: image, layer: {type: Add}",
        "3:55",
        "(None, 6, 6, 3)",
        "fits",
        model="residual",
    ),
    "a with that no layer takes": step(
        "insert_layer, after: relu, with: stem, layers: [{type: ReLU, of: input}]",
        "3:41",
        "no layer takes what `with` merges in",
        "`of: [input, with]`",
        model="residual",
    ),
    "an of that is not in the block": step(
        "insert_layer, after: conv_1, layers: [{name: gate, type: ReLU}, {type: Add, of: [input, gte]}]",
        "3:96",
        "no layer `gte`",
        "`gate`?",
    ),
    "an of that comes later": step(
        "insert_layer, after: conv_1, layers: [{type: Add, of: [input, gate]}, {name: gate, type: ReLU}]",
        "3:70",
        "`gate` does not stand before this layer",
        "put it first",
    ),
    "a layer that no other takes": step(
        "insert_layer, after: conv_1, layers: [{name: gate, type: ReLU}, {type: ReLU, of: input}]",
        "3:46",
        "no layer of the block takes `gate`",
        "in the `of` of another layer",
    ),
    "a misspelt block": block("{head: [{type: ReLU}]}", "4:53", "no block `hed`", "`head`?", layer="{block: hed}"),
    "a block that is not there": step(
        "insert_layer, after: dense_1, layer: {block: head}", "3:53", "no block `head`", "under `blocks`"
    ),
    "a block in itself": block(
        "{a: [{type: ReLU}, {block: b}], b: [{block: a}]}", "2:53", "uses itself: `a` → `b` → `a`", "write its layers"
    ),
    "an empty block": block("{a: []}", "2:13", "`blocks.a` is empty"),
    "a mistake in a block": block(
        "{a: [{type: ReLU}, {type: Dense, unit: 3}]}", "2:48", "a Dense has no argument `unit`", "`units`?"
    ),
    "a block with arguments": block(
        "{a: [{type: ReLU}]}", "4:63", "a block has no key `units`", "into the layers", layer="{block: a, units: 3}"
    ),
    "a block for a single layer": Mistake(
        "op: add_input, after: dense_1, shape: [40], layer: {block: a}",
        "4:55",
        ("a block stands for several layers", "write out one layer"),
        blocks="{a: [{type: ReLU}]}",
    ),
    # Groups of layers
    "a group that two tensors enter": step(
        "remove_layer, target: [norm, add]",
        "3:30",
        "`add`, is made of 2 tensors that enter them: `stem`, `branch`",
        "`keep: stem`",
        model="residual",
    ),
    "all inputs of a merge": step(
        "remove_layer, target: concat, keep: [relu, image]", "3:44", "all inputs", "leave out", model="residual"
    ),
    "inputs of what is not a merge": step(
        "remove_layer, target: stem, keep: [image, add]", "3:42", "does not merge", "name one layer", model="residual"
    ),
    "a copy that cannot have the weights": step(
        "duplicate_layers, target: dense_1", "3:34", "kernel is 512×40, and the copy needs 40×40", "another place"
    ),
    "a copy of a merge": step(
        "duplicate_layers, target: add", "3:34", "2 tensors enter `add`", "`input: stem`", model="residual"
    ),
    "a copy of what two tensors leave": step(
        "duplicate_layers, target: [stem, branch]", "3:34", "2 tensors leave", "a whole block", model="residual"
    ),
    "two copies in one place": step(
        "duplicate_layers, target: [conv_1, dense_1], after: dropout", "3:34", "2 groups", "a step for each"
    ),
    "a copy in two places": step(
        "duplicate_layers, target: dropout, after: [conv_1, conv_2]", "3:50", "2 match", "name one of them"
    ),
    "a copy in another model": step(
        "duplicate_layers, target: encoder/dense_3, after: head", "3:58", "another model", "same model", model="nested"
    ),
    "a copy that takes its own output": step(
        "duplicate_layers, target: add, input: norm, after: image", "3:59", "a loop", "choose a place", model="residual"
    ),
    "an exchange that does not fit": step(
        "swap_layers, target: dense_1, other: logits", "3:8", "`logits` has a kernel of 40×10", "sizes that fit"
    ),
    "an exchange with itself": step("swap_layers, target: dense_1, other: dense_1", "3:45", "in both", "not overlap"),
    "an exchange between models": step(
        "swap_layers, target: encoder/dense_3, other: head/dense_1",
        "3:53",
        "different models",
        "one model",
        model="nested",
    ),
    "another tensor that makes a loop": step(
        "rewire, target: branch, to: norm", "3:36", "`norm` → `branch` → `norm`", "does not depend", model="residual"
    ),
    "another tensor of another width": step(
        "rewire, target: head, to: stem", "3:8", "`head` has a kernel of 7×3", "sizes that fit", model="residual"
    ),
    "the tensor that it has": step(
        "rewire, target: flatten, to: pool", "3:37", "takes `pool` already", "another layer"
    ),
    "one of two inputs": step(
        "rewire, target: add, to: branch", "3:24", "2 inputs: `stem`, `norm`", "`input: <layer>`", model="residual"
    ),
    "an input that is not taken": step(
        "rewire, target: add, input: relu, to: branch", "3:36", "`relu` is not an input", "`stem`", model="residual"
    ),
    # What follows
    "a width that no longer fits": step(
        "replace_layer, target: dense_1, layer: {type: Dense, units: 20}",
        "3:8",
        "`logits` has a kernel of 40×10",
        "(None, 20), need 20×10",
        "choose sizes that fit",
    ),
    "an insertion that does not fit": step(
        "insert_layer, before: dense_1, layer: {type: Dense, units: 20}", "3:8", "`dense_1`", "512×40", "20×40"
    ),
    "no Flatten": step("remove_layer, target: flatten", "3:8", "`dense_1`", "512×40", "(None, 4, 4, 32), need 32×40"),
    "no pooling": step("remove_layer, target: pool", "3:8", "`dense_1`", "(None, 2048), need 2048×40"),
    "no hidden layer": step("remove_layer, target: dense_1", "3:8", "`logits` has a kernel of 40×10", "512×10"),
    "no sequence": step(
        "remove_layer, target: embedding", "3:8", "`lstm` (LSTM) needs inputs of rank 3", model="embedding_mask"
    ),
    "the wrong branch": step(
        "remove_layer, target: concat, keep: relu", "3:8", "`head`", "7×3", "4×3", model="residual"
    ),
    "less in a nested model": step(
        "remove_layer, target: head/dense_1", "3:8", "`dense_2`", "2×1", "6×1", model="nested"
    ),
    "a layer that is no more": Mistake(
        ("op: remove_layer, target: dropout", "op: zero, target: dropout"), "4:22", ("no layer is called `dropout`",)
    ),
    "a name that is no more": Mistake(
        ("op: rename_layer, target: dense_1, to: hidden", "op: zero, target: dense_1"), "4:22", ("`dense_1`",)
    ),
    # What stays
    "no input": step("remove_layer, target: image", "3:30", "`image` is an input of the model", "leave it out"),
    "an input that is replaced": step(
        f"replace_layer, target: image, {DROPOUT}", "3:31", "`image` is an input of the model", "leave it out"
    ),
    "no layer at all": step(
        "remove_layer, target: [head/dense_1, head/dense]", "3:30", "the last layer", "leave it out", model="nested"
    ),
    "nothing to keep": step(
        "remove_layer, target: add", "3:30", "2 inputs, `stem`, `norm`", "`keep: stem`", model="residual"
    ),
    "a keep that is no input": step(
        "remove_layer, target: add, keep: brnch", "3:41", "`brnch` is not an input", "`stem`, `norm`", model="residual"
    ),
    "several outputs for one input": step(
        "remove_layer, target: split", "3:30", "several outputs of", "first remove the layers", model="operators"
    ),
    # Outputs that are not there any more
    "a layer without the states that are used": step(
        "replace_layer, target: encode, layer: {type: LSTM, units: 4}",
        "3:8",
        "`decode` is called on output 1 of `encode`, which has only output 0",
        "`summary` is called on output 1 of `encode`",
        model="initial_state",
    ),
    "a layer of another name with fewer states": step(
        "replace_layer, target: encode, layer: {type: GRU, units: 4, return_state: true, name: gru}",
        "3:8",
        "`decode` is called on output 2 of `gru`, which has only outputs 0 to 1",
        model="initial_state",
    ),
    "one output for two": step(
        "replace_layer, target: split, layer: {type: Dense, units: 3}",
        "3:8",
        "`get_item` is called on output 1 of `split`, which has only output 0",
        model="operators",
    ),
    "states switched off": step(
        "configure_layer, target: encode, set: {return_state: false}",
        "3:61",
        "`return_state: false` changes the output of `encode`",
        model="initial_state",
    ),
    # What is kept
    "another word for a part": step(
        "replace_layer, target: dense_1, layer: {type: Dense, units: 9}, keep_weights: slices", "3:86", "`slice`"
    ),
    "a class that cannot inherit": step(
        'replace_layer, target: dense_1, layer: {type: "mine>Dense"}, inherit: true',
        "3:78",
        "`mine>Dense` is a class of your own",
        "give the arguments",
    ),
    "a model that has no arguments": step(
        "replace_layer, target: encoder, layer: {type: Dense, units: same}, inherit: true",
        "3:84",
        "`encoder` is a model",
        "leave `inherit` out",
        model="nested",
    ),
    "an argument that is not inherited": step(
        "replace_layer, target: bn_1, layer: {type: Rescaling}, inherit: true", "3:44", "a Rescaling needs `scale`"
    ),
    # Names and arguments
    "a rename to a taken name": step("rename_layer, target: dense_1, to: logits", "3:43", "already", "another name"),
    "a rename to the same name": step(
        "rename_layer, target: dense_1, to: dense_1", "3:43", "called that already", "another"
    ),
    "a rename to a path": step("rename_layer, target: dense_1, to: a/b", "3:43", "holds a `/`", "the bare name"),
    "a rename to nothing": step('rename_layer, target: dense_1, to: ""', "3:43", "is empty", "the bare name"),
    "a rename of several": step(
        'rename_layer, target: "conv_*", to: x', "3:30", "matches 2 layers: `conv_1`, `conv_2`", "a step for each"
    ),
    "units that are configured": step(
        "configure_layer, target: dense_1, set: {units: 20}",
        "3:55",
        "`units: 20` changes the kernel of `dense_1` from 512×40 to 512×20",
        "use `replace_layer`, with `inherit: true`",
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
    # Parts and ports
    "no part": step(
        "extract, allow_empty: true",
        "3:8",
        "needs `from`, `to` or `outputs`",
        "where the part begins",
        model="residual",
    ),
    "a part that ends before it begins": step(
        "extract, from: head, to: stem",
        "3:23",
        "no path leads from `head` to `stem`",
        "exchange the two",
        model="residual",
    ),
    "an output of many layers": step(
        "extract, outputs: ['re:.*']", "3:27", "one layer is needed, but 9 match", "by its path", model="residual"
    ),
    "two ways to end a part": step(
        "extract, to: add, outputs: [stem]",
        "3:35",
        "cannot be used together",
        "leave one of them out",
        model="residual",
    ),
    "an output that is one": step(
        "add_output, target: head", "3:28", "is an output of the model already", "leave it out", model="residual"
    ),
    "an output of many calls": step(
        "add_output, target: inner", "3:28", "is called 2 times", "unshare_weights", model="called_twice"
    ),
    "an output that a layer does not have": step(
        "add_output, target: relu, output: 1", "3:42", "`relu` has no output 1", "it has: 0", model="residual"
    ),
    "an output that an input does not have": step(
        "add_output, target: image, output: 1", "3:43", "`image` has no output 1", "it has: 0", model="residual"
    ),
    "a key without a dictionary": step(
        "add_output, target: stem, key: x", "3:39", "does not return a dictionary", "leave `key` out", model="residual"
    ),
    "not an output": step(
        "remove_output, target: stem",
        "3:31",
        "is not an output of the model",
        "its outputs are `head`",
        model="residual",
    ),
    "no output left": step(
        "remove_output, target: head", "3:31", "the model would have no output", "leave one", model="residual"
    ),
    "a new input of a name that is there": step(
        "add_input, name: stem, after: relu, shape: [6, 6, 4], layer: {type: Add}",
        "3:25",
        "has a layer `stem` already",
        "give the input another `name`",
        model="residual",
    ),
    "a new input of no extent": step(
        "add_input, after: relu, shape: [0], layer: {type: Add}",
        "3:39",
        "an extent of `shape` is below 1",
        "write null",
        model="residual",
    ),
    "a new input of no dtype": step(
        "add_input, after: relu, shape: [1], dtype: float, layer: {type: Add}",
        "3:51",
        "is not a dtype of inputs",
        "`float32`",
        model="residual",
    ),
    "a new input that does not fit": step(
        "add_input, after: relu, shape: [5], layer: {type: Concatenate}",
        "3:51",
        "cannot combine",
        "choose a layer that fits",
        model="residual",
    ),
    "layers that are not together": step(
        "nest_layers, target: [branch, add]", "3:29", "`norm` stands between", "take `norm` in too", model="residual"
    ),
    "an input to nest": step(
        "nest_layers, target: [image, stem]", "3:29", "is an input of the model", "leave it out", model="residual"
    ),
    "a model of a name that is there": step(
        "nest_layers, target: [branch, norm], name: head",
        "3:51",
        "has a layer `head` already",
        "another `name`",
        model="residual",
    ),
    "layers of several models": step(
        "nest_layers, target: [encoder, 'head/*']",
        "3:29",
        "the layers are in several models",
        "by their paths",
        model="nested",
    ),
    "no model to put in its place": step(
        "inline_model, target: add",
        "3:30",
        "is not a model of layers and calls",
        "`type: [Functional, Sequential]`",
        model="residual",
    ),
    "a model of many calls to put in its place": step(
        "inline_model, target: inner", "3:30", "is called 2 times", "unshare_weights", model="called_twice"
    ),
    "one name for all": step(
        "inline_model, target: encoder, names: x", "3:46", "gives all layers one name", "`x_{name}`", model="nested"
    ),
    "names of nothing": step(
        "inline_model, target: encoder, names: '{layer}'", "3:46", "knows no `{layer}`", "`{name}`", model="nested"
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
    # Morphisms
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
}


SAYS_IT_ITSELF = {
    "units below one",
    "same for a rate",
    "code",
    "a port",
    "a name with a slash",
    "a rate beyond all",
    "what to do with what cannot be folded",
    "a layer that is no more",
    "a name that is no more",
    "an empty block",
    "an argument that is not inherited",
}
"""Rows whose message says what would be right, so that there is nothing to add."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that the mistakes are made on."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(ROOT / "conf/model/digits.keras", folder)
    shutil.copy(ROOT / "tests/data/old/keras_3.6.0/residual.weights.h5", folder / "named.weights.h5")
    for name in FROM_ZOO:
        ZOO[name]().save(folder / f"{name}.keras")
    return folder


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        yield str(path), status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_says_where_and_what_to_do_and_writes_nothing(cli, models, tmp_path, monkeypatch, what) -> None:
    mistake = MISTAKES[what]
    steps = (mistake.steps,) if isinstance(mistake.steps, str) else mistake.steps
    head = f"blocks: {mistake.blocks}\n" if mistake.blocks else ""
    (tmp_path / "plan.yaml").write_text(f"mutspec: 1\n{head}steps:\n" + "".join(f"- {{{each}}}\n" for each in steps))
    monkeypatch.chdir(tmp_path)
    before = [*_listing(tmp_path), *_listing(models)]
    output = ["-o", mistake.output] if mistake.output else ["--dry-run"]
    call = ("apply", "plan.yaml", str(models / mistake.model))
    result = cli(*call, *output)
    assert (result.code, result.out) == (2, ""), result.err
    if what in ("a misspelt after", "no Flatten", "a model of code"):
        assert cli(*call, "--dry-run") == result
    assert result.err.startswith(f"plan.yaml:{mistake.at}: "), result.err
    for words in mistake.said:
        assert words in result.err
    assert "\n  = " in result.err or what in SAYS_IT_ITSELF, f"no remedy: {result.err}"
    assert "a bug" not in result.err
    assert "Traceback" not in result.err
    assert [*_listing(tmp_path), *_listing(models)] == before


@pytest.mark.parametrize(
    "steps",
    [
        ("op: remove_layer, target: flatten", "op: insert_layer, before: dense_1, layer: {type: Flatten}"),
        (
            "op: remove_layer, target: dense_1",
            "op: replace_layer, target: logits, layer: {type: Dense, units: 10, name: same}",
        ),
    ],
    ids=["put back", "replaced downstream"],
)
def test_a_later_step_may_fix_what_a_removal_breaks(cli, models, tmp_path, monkeypatch, steps) -> None:
    import keras

    (tmp_path / "plan.yaml").write_text("mutspec: 1\nsteps:\n" + "".join(f"- {{{each}}}\n" for each in steps))
    monkeypatch.chdir(tmp_path)
    result = cli("apply", "plan.yaml", str(models / "digits.keras"), "-o", "out.keras")
    assert result.code == 0, result.err
    assert keras.saving.load_model("out.keras").output_shape == (None, 10)


def test_a_model_is_replaced_by_a_layer_that_takes_no_mask(cli, models, tmp_path, monkeypatch) -> None:
    import keras

    layer = "{type: Dense, units: same, name: encoder_1}"
    (tmp_path / "plan.yaml").write_text(
        f"mutspec: 1\nsteps: [{{op: replace_layer, target: encoder, layer: {layer}}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    result = cli("apply", "plan.yaml", str(models / "nested.keras"), "-o", "out.keras")
    assert result.code == 0, result.err
    assert keras.saving.load_model("out.keras").get_layer("encoder_1").kernel.shape == (5, 3)
