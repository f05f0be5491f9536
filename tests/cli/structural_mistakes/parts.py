"""Mistakes in parts of models, and in their inputs and outputs."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import Mistake, step

MISTAKES: dict[str, Mistake] = {
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
}
