"""Mistakes in new layers, and in their first values."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import DROPOUT, Mistake, insert, step

MISTAKES: dict[str, Mistake] = {
    # Layers
    "no layer": step("insert_layer, after: dense_1", "3:8", "needs the key `layer`"),
    "an unknown class": insert("{type: Dence, units: 3}", "3:52", "no layer class `Dence`", "`Dense`?"),
    "an unknown argument": insert("{type: Dense, units: same, actvation: relu}", "3:83", "`activation`?"),
    "missing units": insert("{type: Dense}", "3:45", "a Dense needs `units`", "`units: same`"),
    "units below one": insert("{type: Dense, units: -3}", "3:66", "a whole number of at least 1, not -3"),
    "units in quotes": insert('{type: Dense, units: "12"}', "3:66", 'the text "12"', "without quotes: `units: 12`"),
    "units beyond all": insert("{type: Dense, units: 4294967296}", "3:66", "too large: 4294967296", "2,147,483,647"),
    "a Bidirectional of no recurrent layer": insert(
        "{type: Bidirectional, layer: {type: Dense, units: 3}}", "3:45", "turns a recurrent layer round, and a Dense"
    ),
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
    "a name with a slash": insert("{type: Flatten, name: a/b}", "3:67", "holds a `/`"),
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
}
