"""Mistakes in chains, branches and blocks, and in groups of layers."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import DROPOUT, Mistake, block, step

MISTAKES: dict[str, Mistake] = {
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
        "swap_layers, target: dense_1, other: logits", "3:8", "`logits` has a kernel of 40×10", "choose what fits"
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
        "rewire, target: head, to: stem", "3:8", "`head` has a kernel of 7×3", "choose what fits", model="residual"
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
}
