"""Layers after the edited ones that do not fit any more, and what cannot go or be kept."""

from __future__ import annotations

from tests.cli.structural_mistakes.mistake import DROPOUT, Mistake, step

MISTAKES: dict[str, Mistake] = {
    # What follows
    "a width that no longer fits": step(
        "replace_layer, target: dense_1, layer: {type: Dense, units: 20}",
        "3:8",
        "`logits` has a kernel of 40×10",
        "(None, 20), need 20×10",
        "choose what fits",
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
}
