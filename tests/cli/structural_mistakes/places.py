"""Mistakes in the places of layers."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import DROPOUT, Mistake, step

MISTAKES: dict[str, Mistake] = {
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
}
