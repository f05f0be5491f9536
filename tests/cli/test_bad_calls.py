"""Bad plans, models and calls: each gets its exit code, its place and a remedy, and nothing is written."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import pytest

ROOT = Path(__file__).parents[2]
HEAD = "mutspec: 1\nsteps:\n"
NOISE = "- {op: gaussian_noise, target: dense_1, std: 0.1"

PLANS: dict[str, str | bytes] = {
    # The text itself
    "empty": "",
    "latin": b"mutspec: 1\nname: caf\xe9\nsteps: [{op: zero, target: dense_1}]\n",
    "control": "mutspec: 1\nname: a\x00b\nsteps: []\n",
    "binary": b"PK\x03\x04\x14\x00\x00\x00",
    "list": "- {op: zero, target: dense_1}\n",
    "tab": HEAD + "- op: zero\n\ttarget: dense_1\n",
    "bracket": HEAD + "- {op: zero, target: [dense_1, conv_1}\n",
    "duplicate": HEAD + "- {op: zero, target: dense_1, target: conv_1}\n",
    "documents": HEAD + "- {op: zero, target: dense_1}\n---\n" + HEAD + "- {op: zero, target: conv_1}\n",
    "laughs": "mutspec: 1\nmetadata:\n  a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    + "".join(f"  {b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "steps: [{op: zero, target: dense_1}]\n",
    "deep": "mutspec: 1\nmetadata: " + "[" * 200 + "]" * 200 + "\nsteps: [{op: zero, target: dense_1}]\n",
    "alias": HEAD + "- {op: zero, target: *_conv}\n",
    "brace": HEAD + "- {op: zero, target: dense_1, fraction: ${params.part}}\n",
    # Its keys and values
    "no_version": "steps: [{op: zero, target: dense_1}]\n",
    "newer": "mutspec: 2\nsteps: [{op: zero, target: dense_1}]\n",
    "no_steps": "mutspec: 1\n",
    "empty_steps": "mutspec: 1\nsteps: []\n",
    "misspelt_section": "mutspec: 1\nstesp: [{op: zero, target: dense_1}]\n",
    "no_op": HEAD + "- {target: dense_1}\n",
    "unknown_op": HEAD + "- {op: gausian_noise, target: dense_1, std: 0.1}\n",
    "misspelt_key": HEAD + "- {op: zero, taget: dense_1}\n",
    "missing_key": HEAD + "- {op: gaussian_noise, target: dense_1}\n",
    "text_for_number": HEAD + "- {op: gaussian_noise, target: dense_1, std: small}\n",
    "decimal_comma": HEAD + '- {op: gaussian_noise, target: dense_1, std: "0,1"}\n',
    "negative": HEAD + "- {op: gaussian_noise, target: dense_1, std: -1}\n",
    "too_much": HEAD + NOISE + ", fraction: 150%}\n",
    "two_amounts": HEAD + NOISE + ", fraction: 1%, count: 3}\n",
    "wrong_choice": HEAD + NOISE + ", relative_to: standard}\n",
    "norway": HEAD + "- {op: zero, target: on}\n",
    "twice": HEAD + "- {op: zero, target: dense_1}\n- {op: zero, target: conv_1}\n",
    "regex": HEAD + '- {op: zero, target: "re:conv_(1"}\n',
    "look_ahead": HEAD + '- {op: zero, target: {regex: "conv_(?!1)."}}\n',
    "misspelt_selector": HEAD + "- {op: zero, target: {tpye: Dense}}\n",
    "empty_pick": HEAD + "- {op: zero, target: {type: Dense, pick: {}}}\n",
    "contract": HEAD + "- {op: zero, target: {type: Dense, expect: {min: 3, max: 2}}}\n",
    "dead_value": HEAD + "- {op: fill, target: dense_1, value: [{value: 1}, {target: dense_1, value: 2}]}\n",
    "environment": HEAD + '- {op: zero, target: dense_1, fraction: "${oc.env:HOME}"}\n',
    "parameter": HEAD + '- {op: zero, target: dense_1, fraction: "${params.part}"}\n',
    "computed_op": 'mutspec: 1\nparams: {what: zero}\nsteps:\n- {op: "${params.what}", target: dense_1}\n',
    "defaults": "mutspec: 1\ndefaults: [base]\nsteps: [{op: zero, target: dense_1}]\n",
    "package": "# @package _global_\n" + HEAD + "- {op: zero, target: dense_1}\n",
    "undeclared": HEAD + "- {op: transfer_weights, source: teacher:conv_2, target: conv_2}\n",
    "slice": HEAD + "- {op: transfer_weights, source: conv_1, target: conv_2, stop: 50%}\n",
    # What they choose in the model
    "no_layer": HEAD + "- {op: zero, target: dense_11}\n",
    "no_class": HEAD + "- {op: zero, target: {type: Dence}}\n",
    "no_role": HEAD + "- {op: zero, target: {type: Dense, weights: recurrent_kernel}}\n",
    "no_weights": HEAD + "- {op: zero, target: relu_1}\n",
    "expect": HEAD + "- {op: zero, target: {type: Dense, expect: 3}}\n",
    "picked_away": HEAD + "- {op: zero, target: {type: Dense, pick: {skip_last: 2}}}\n",
    "count": HEAD + "- {op: zero, target: logits/bias, count: 11}\n",
    "index_twice": HEAD + "- {op: zero, target: logits/bias, indices: [1, 0, -9]}\n",
    "no_index": HEAD + "- {op: zero, target: logits/bias, indices: []}\n",
    "no_count": HEAD + "- {op: zero, target: logits/bias, count: 0}\n",
    "backwards": HEAD + "- {op: uniform_noise, target: dense_1, low: [{value: 1}], "
    "high: [{target: dense_1/bias, value: 2}, {value: 0}]}\n",
    "itself": HEAD + "- {op: transfer_weights, source: dense_1, target: dense_1, weights: bias}\n",
    "apart": HEAD + "- {op: transfer_weights, source: dense_1/kernel, target: logits, weights: bias}\n",
    "no_stop": HEAD + '- {op: transfer_weights, source: dense_1/bias, target: logits/bias, axis: 0, stop: "0%"}\n',
    "far_stop": HEAD + "- {op: transfer_weights, source: dense_1/bias, target: logits/bias, axis: 0, stop: 99}\n",
    "index": HEAD + "- {op: zero, target: logits/bias, indices: [10]}\n",
    "nothing": HEAD + "- {op: zero, target: logits/bias, fraction: 1%}\n",
    "no_case": HEAD + "- {op: fill, target: dense_1, value: [{target: conv_1, value: 1}]}\n",
    "channels": HEAD + "- {op: gaussian_noise, target: einsum/bias, std: 0.1, relative_to: channel_max}\n",
    "shapes": HEAD + "- {op: transfer_weights, source: conv_1/kernel, target: conv_2/kernel}\n",
    "axis": HEAD + "- {op: transfer_weights, source: dense_1/kernel, target: logits/kernel, axis: 5, stop: 1}\n",
    "several_sources": HEAD + '- {op: transfer_weights, source: "conv_*", target: conv_2}\n',
    # What they make of it
    "burst": HEAD + "- {op: scale, target: dense_1/kernel, factor: 1e39}\n",
    # Good ones, for bad models and calls
    "good": HEAD + "- {op: zero, target: dense_1, id: blank}\n",
    "old": HEAD + "- {op: zero, target: dense}\n",
    "graft": "mutspec: 1\ninputs: {teacher: {}}\nsteps:\n"
    "- {op: transfer_weights, source: teacher:conv_2, target: conv_2}\n",
    "tunable": "mutspec: 1\nparams: {std: 0.1}\nsteps:\n"
    '- {op: gaussian_noise, target: dense_1, std: "${params.std}"}\n',
}


class Bad(NamedTuple):
    """A bad call.

    Arguments:
        call: its arguments.
        said: what standard error must contain: the place or the thing, and what is wrong or how to fix it.
        code: the exit code.
    """

    call: str
    said: tuple[str, ...]
    code: int = 2


def put(plan: str, *said: str, code: int = 2) -> Bad:
    """A plan of `PLANS` put on the digits model."""
    return Bad(f"apply {plan}.yaml model.keras -o out.keras", (f"{plan}.yaml", *said), code)


def read(model: str, *said: str) -> Bad:
    """A good plan put on a bad model."""
    return Bad(f"apply good.yaml {model} -o out.keras", (model, *said))


CALLS: dict[str, Bad] = {
    "a plan that is empty": put("empty", "mutspec: 1"),
    "a plan that is not UTF-8": put("latin", ":2:10", "UTF-8"),
    "a plan with a control character": put("control", ":2:8"),
    "a plan that is a zip file": put("binary"),
    "a plan that is a list": put("list", ":1:1", "a plan must be a mapping"),
    "a plan with tabs": put("tab", ":4:1", "tab"),
    "a plan with an open bracket": put("bracket", ":3:38"),
    "a key that is there twice": put("duplicate", ":3:31", "`target` occurs twice"),
    "two documents": put("documents", ":4:1"),
    "aliases that grow without end": put("laughs", "aliases"),
    "a document without ground": put("deep", ":2:", "deeper"),
    "an alias that is meant as a glob": put("alias", ":3:22", '"*_conv"'),
    "an interpolation without quotes": put("brace", ":3:", '"${params.part}"'),
    "no version": put("no_version", "mutspec: 1"),
    "a newer version": put("newer", ":1:10", "newer mutspec"),
    "no steps": put("no_steps", "`steps`"),
    "empty steps": put("empty_steps", ":2:8", "`steps` is empty"),
    "a misspelt section": put("misspelt_section", ":2:1", "`steps`"),
    "a step without an op": put("no_op", ":3:", "has no `op`"),
    "an op that is not there": put("unknown_op", ":3:8", "`gaussian_noise`"),
    "a misspelt key": put("misspelt_key", ":3:14", "`target`"),
    "a missing key": put("missing_key", ":3:8", "needs the key `std`"),
    "text for a number": put("text_for_number", ":3:46", "takes a number of at least 0"),
    "a decimal comma": put("decimal_comma", ":3:46", "a point"),
    "a negative size": put("negative", ":3:46", "at least 0, "),
    "more than all": put("too_much", ":3:61", "percentage"),
    "two amounts": put("two_amounts", ":3:", "fraction", "count"),
    "a value that is no choice": put("wrong_choice", ":3:64", "`std`"),
    "a truth value for a name": put("norway", ":3:22", 'write "on"'),
    "an op twice without ids": put("twice", ":4:8", "id"),
    "a regex that is none": put("regex", ":3:22", "missing )"),
    "a regex of another kind": put("look_ahead", ":3:30", "look-around"),
    "a misspelt key of a selector": put("misspelt_selector", ":3:23", "`type`"),
    "a pick of nothing in particular": put("empty_pick", ":3:42", "skip_last"),
    "a contract that none can keep": put("contract", ":3:50", "more than `max`"),
    "a value that is never used": put("dead_value", ":3:39", "put the value without `target` last"),
    "an interpolation of the environment": put("environment", ":3:41", "params"),
    "a parameter that is not declared": put("parameter", ":3:41", "declare it under `params`"),
    "an op that is interpolated": put("computed_op", ":4:8", "cannot be interpolated"),
    "defaults of Hydra": put("defaults", ":2:1", "which is Hydra's"),
    "a package of Hydra": put("package", ":1:1", "@package", "remove the line"),
    "an input that is not declared": put("undeclared", ":3:34", "inputs: {teacher: {}}"),
    "a slice without an axis": put("slice", ":3:64", "add `axis: -1`"),
    "a layer that is not there": put("no_layer", ":3:22", "`dense_1`"),
    "a class that is not there": put("no_class", ":3:29", "`Dense`"),
    "a role that no layer has": put("no_role", ":3:45", "kernel"),
    "a layer without weights": put("no_weights", ":3:22", "relu_1"),
    "a contract that does not hold": put("expect", ":3:44", "expected 3 layers, but 2 match"),
    "a pick that leaves nothing": put("picked_away", ":3:42", "skip_last"),
    "more entries than there are": put("count", ":3:42", "10"),
    "an index that is out of range": put("index", ":3:45", "logits/bias"),
    "an index that is there twice": put("index_twice", ":3:51", "1 and -9", "name each entry once"),
    "indices of nothing": put("no_index", ":3:44", "touches nothing", "list the entries"),
    "a count of nothing": put("no_count", ":3:42", "`count` is 0", "raise it"),
    "bounds that are swapped for one weight": put(
        "backwards", ":3:", "`low` (1) is above `high` (0)", "dense_1/kernel"
    ),
    "a transfer to itself": put("itself", ":3:51", "are the same weight, `dense_1/bias`", "another layer"),
    "weights that the source has not": put("apart", ":3:75", "`source` has no weights that", "only `kernel`"),
    "a slice of nothing": put("no_stop", "no_stop.yaml:3:", "is empty", "widen it"),
    "a slice that ends too far": put("far_stop", "far_stop.yaml:3:", "from 0 to 40"),
    "an amount that comes to nothing": put("nothing", ":3:", "at_least"),
    "no value for a target": put("no_case", ":3:", "dense_1/kernel", "no `target`"),
    "shapes that do not fit": put("shapes", ":3:34", "3×3×16×32"),
    "an axis that is not there": put("axis", ":3:79", "axis: 5"),
    "several sources": put("several_sources", ":3:34", "must be one layer"),
    "numbers that burst": put("burst", ":3:8", "dense_1/kernel", "non_finite: report", code=1),
    "channels that are not known": Bad(
        "apply channels.yaml einsum.h5 -o out.h5", ("channels.yaml:3:", "channel_max", "use `max_abs`")
    ),
    "a plan that is not there": Bad("apply godo.yaml model.keras -o out.keras", ("godo.yaml", "`good.yaml`")),
    "a plan that is a folder": Bad("apply folder model.keras -o out.keras", ("folder",)),
    "a plan that is the model": Bad("apply model.keras good.yaml -o out.keras", ("model.keras",)),
    "a model that is not there": read("modle.keras", "`model.keras`"),
    "a model that is a folder": read("folder", "is a folder"),
    "a SavedModel without weights": read("saved_model", "variables/variables.index"),
    "a model that is empty": read("empty.keras", "is empty"),
    "a model that is text": read("text.keras", "not a model file"),
    "a model that is a Git LFS pointer": read("pointer.keras", "git lfs pull"),
    "a model that is cut short": read("short.keras"),
    "a model with a broken zip member": read("scratched.keras"),
    "a zip without a config": read("no_config.keras", "config.json"),
    "a zip with a config that is not JSON": read("bad_config.keras", "config.json"),
    "a zip with a config of something else": read("other_config.keras"),
    "a zip without weights": read("no_weights.keras", "model.weights.h5"),
    "a zip whose weights are no HDF5": read("bad_weights.keras"),
    "a zip whose weights are another model's": read("swapped.keras"),
    "an HDF5 file cut short": Bad("apply good.yaml short.h5 -o out.h5", ("short.h5",)),
    "an HDF5 file of something else": Bad("apply good.yaml other.h5 -o out.h5", ("other.h5",)),
    "an HDF5 file whose config is not JSON": Bad("apply good.yaml bad_config.h5 -o out.h5", ("bad_config.h5",)),
    "weights without the names of layers": Bad("inspect bare.weights.h5", ("bare.weights.h5", "--architecture FILE")),
    "an architecture for a whole model": Bad("inspect model.keras --architecture model.keras", ("leave it out",)),
    "an architecture that is not there": Bad("inspect bare.weights.h5 --architecture m.json", ("m.json",)),
    "an architecture of another model": Bad(
        "inspect named.weights.h5 --architecture model.keras", ("named.weights.h5",)
    ),
    "no output": Bad("apply good.yaml model.keras", ("-o OUT", "--dry-run")),
    "an output that is the input": Bad(
        "apply good.yaml model.keras -o model.keras --force", ("same file as the input",)
    ),
    "an output that is the input by another path": Bad(
        "apply good.yaml model.keras -o folder/../model.keras --force", ("same file as the input",)
    ),
    "an output that is a link to the input": Bad(
        "apply good.yaml model.keras -o link.keras --force", ("link.keras", "same file as the input")
    ),
    "an output that is the input's other name": Bad(
        "apply good.yaml model.keras -o twin.keras --force", ("twin.keras", "same file as the input")
    ),
    "an output that is another input": Bad(
        "apply graft.yaml model.keras --input teacher=taken.keras -o taken.keras --force", ("same file as the input",)
    ),
    "an output that exists": Bad("apply good.yaml model.keras -o taken.keras", ("taken.keras exists", "--force")),
    "an output without a folder": Bad("apply good.yaml model.keras -o no/where/out.keras", ("mkdir -p no/where",)),
    "an output below a file": Bad(
        "apply good.yaml model.keras -o taken.keras/out.keras", ("in taken.keras, which is a file",)
    ),
    "an output with a long name": Bad(
        f"apply good.yaml model.keras -o {'n' * 300}.keras", ("error: the name of the output", "306 bytes", "take 255")
    ),
    "an output that is a folder": Bad("apply good.yaml model.keras -o folder", ("the output folder is a folder",)),
    "an output of no kind": Bad(
        "apply good.yaml model.keras -o out.bin", ("out.bin", ".keras, .h5, .weights.h5 or .safetensors")
    ),
    "an output of no kind, of an old file": Bad("apply old.yaml old.h5 -o out.hdf", ("out.hdf", ".h5")),
    "a dry-run whose output is of no kind": Bad("apply good.yaml model.keras -o out --dry-run", ("out", ".keras")),
    "an input that is not bound": Bad("apply graft.yaml model.keras -o out.keras", ("--input teacher=MODEL",)),
    "an input that is not known": Bad(
        "apply graft.yaml model.keras -o out.keras --input techer=taken.keras", ("`teacher`",)
    ),
    "an input that no plan declares": Bad(
        "apply good.yaml model.keras -o out.keras --input t=taken.keras", ("no input `t`", "`inputs: {t: {}}`")
    ),
    "an input that is bound twice": Bad(
        "apply graft.yaml model.keras -o out.keras --input teacher=taken.keras --input teacher=x", ("twice",)
    ),
    "an input without a name": Bad("apply graft.yaml model.keras -o out.keras --input taken.keras", ("name=MODEL",)),
    "an input that is not there": Bad(
        "apply graft.yaml model.keras -o out.keras --input teacher=tacken.keras", ("`taken.keras`",)
    ),
    "an override with nothing": Bad(
        "apply good.yaml model.keras --dry-run --set steps.blank.fraction=null", ("override 1:1:22", "not nothing")
    ),
    "an override without a value": Bad("apply tunable.yaml model.keras --dry-run --set params.std", ("override 1",)),
    "an override of nothing": Bad(
        "apply tunable.yaml model.keras --dry-run --set params.sdt=1", ("override 1:1:", "`std`")
    ),
    "an override of no step": Bad(
        "apply good.yaml model.keras --dry-run --set steps.blnk.fraction=1%", ("override 1:1:", "`blank`")
    ),
    "an override of the wrong type": Bad(
        "apply tunable.yaml model.keras --dry-run --set seed=3 --set params.std=big", ("override 2:1:12", "a number")
    ),
    "a seed that is negative": Bad("apply good.yaml model.keras --dry-run --seed -1", ("--seed",)),
    "a seed that is text": Bad("apply good.yaml model.keras --dry-run --seed lucky", ("--seed",)),
    "no threads": Bad("apply good.yaml model.keras -o out.keras --threads 0", ("--threads",)),
    "memory without a number": Bad("apply good.yaml model.keras -o out.keras --max-memory lots", ("200MB",)),
    "memory in unknown units": Bad("apply good.yaml model.keras -o out.keras --max-memory 5XB", ("200MB",)),
    "memory beyond all measure": Bad(f"apply good.yaml model.keras -o out.keras --max-memory {'9' * 400}", ("200MB",)),
    "memory that falls short in its own unit": Bad(
        "apply good.yaml model.keras -o out.keras --max-memory 90MB", ("--max-memory 90MB is", "MB\n")
    ),
    "too little memory": Bad("apply good.yaml model.keras -o out.keras --max-memory 1MB", ("give at least",)),
    "a module that is not there": Bad("apply good.yaml model.keras --dry-run --import no_such", ("`no_such`",)),
    "a format that is not there": Bad("apply good.yaml model.keras --dry-run --format xml", ("markdown",)),
    "a command that is not there": Bad("aply good.yaml model.keras", ("`apply`",)),
    "an option that is not there": Bad("apply good.yaml model.keras --dryrun", ("`--dry-run`",)),
    "too few arguments": Bad("apply good.yaml", ("'MODEL'", "mutspec apply --help")),
    "too many arguments": Bad("diff model.keras taken.keras taken.keras", ("taken.keras", "mutspec diff --help")),
    "a choice of nothing": Bad("inspect model.keras --select dense_11", ("--select:1:1", "`dense_1`")),
    "a choice that is not YAML": Bad("inspect model.keras --select [dense_1", ("--select:1:",)),
    "a choice with a misspelt key": Bad("inspect model.keras --select {tpye:Dense}", ("--select:1:2",)),
    "a choice that is empty": Bad("inspect model.keras --select=", ("the target is empty", "dense_1")),
    "a model to compare that is not there": Bad("diff model.keras tacken.keras", ("`taken.keras`",)),
    "a model to compare that is a plan": Bad("diff good.yaml model.keras", ("good.yaml is not a model file",)),
    "a picture over a plan": Bad("graph good.yaml model.keras -o good.yaml --force", ("same file as the input",)),
    "a picture over a file": Bad("graph good.yaml model.keras -o taken.keras", ("taken.keras exists", "--force")),
    "a manual of no op": Bad("ops gausian_noise", ("`gaussian_noise`",)),
    "no shell": Bad("completion", ("Choose from: bash, zsh, fish",)),
    "a shell that is not there": Bad("completion tcsh", ("'bash'",)),
}


SAYS_IT_ITSELF = {
    "a document without ground",
    "empty steps",
    "text for a number",
    "an override with nothing",
    "a negative size",
    "more than all",
    "a value that is no choice",
    "a regex that is none",
    "a contract that none can keep",
}
"""Rows whose message says what would be right, so that there is nothing to add."""


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every bad plan and model that the calls name."""
    folder = tmp_path_factory.mktemp("mess")
    for name, text in PLANS.items():
        (folder / f"{name}.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    _models(folder)
    return folder


def _models(folder: Path) -> None:
    model, old = folder / "model.keras", ROOT / "tests/data/old"
    shutil.copy(ROOT / "conf/model/digits.keras", model)
    shutil.copy(model, folder / "taken.keras")
    (folder / "link.keras").symlink_to("model.keras")
    os.link(model, folder / "twin.keras")
    (folder / "folder").mkdir()
    (folder / "saved_model").mkdir()
    (folder / "saved_model/saved_model.pb").write_bytes(b"\x08\x01")
    whole = model.read_bytes()
    (folder / "empty.keras").write_bytes(b"")
    (folder / "text.keras").write_text("not a model, but a note about one\n")
    (folder / "pointer.keras").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (folder / "short.keras").write_bytes(whole[: len(whole) // 2])
    (folder / "scratched.keras").write_bytes(whole.replace(b"\x89HDF\r\n", b"\x00\x00\x00\x00\x00\x00", 1))
    with zipfile.ZipFile(model) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(old / "keras_3.6.0/residual.keras") as source:
        others = source.read("model.weights.h5")
    changes: dict[str, dict[str, bytes | None]] = {
        "no_config": {"config.json": None},
        "bad_config": {"config.json": b"{"},
        "other_config": {"config.json": b"[1, 2]"},
        "no_weights": {"model.weights.h5": None},
        "bad_weights": {"model.weights.h5": b"no HDF5 at all"},
        "swapped": {"model.weights.h5": others},
    }
    for name, change in changes.items():
        with zipfile.ZipFile(folder / f"{name}.keras", "w") as target:
            for member, data in (members | change).items():
                if data is not None:
                    target.writestr(member, data)
    shutil.copy(old / "keras_3.6.0/cnn.h5", folder / "old.h5")
    (folder / "short.h5").write_bytes((folder / "old.h5").read_bytes()[:3000])
    shutil.copy(old / "keras_3.5.0/residual.weights.h5", folder / "bare.weights.h5")
    shutil.copy(old / "keras_3.6.0/residual.weights.h5", folder / "named.weights.h5")
    with h5py.File(folder / "other.h5", "w") as file:
        file["measurements"] = [1.0, 2.0]
    shutil.copy(old / "keras_3.6.0/cnn.h5", folder / "bad_config.h5")
    with h5py.File(folder / "bad_config.h5", "r+") as file:
        file.attrs["model_config"] = "{"
    _einsum(folder / "einsum.h5")


def _einsum(path: Path) -> None:
    """A whole-model file with a weight whose output channels are on two axes."""
    import json

    config = {
        "class_name": "Sequential",
        "config": {
            "name": "einsum_model",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "name": "input"}},
                {
                    "class_name": "EinsumDense",
                    "config": {"name": "einsum", "equation": "ab,bcd->acd", "output_shape": [2, 4], "bias_axes": "cd"},
                },
            ],
        },
    }
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"input", b"einsum"]
        weights.create_group("input").attrs["weight_names"] = []
        layer = weights.create_group("einsum")
        layer.attrs["weight_names"] = [b"einsum/kernel:0", b"einsum/bias:0"]
        layer["einsum/kernel:0"] = [[[0.5] * 4] * 2] * 3
        layer["einsum/bias:0"] = [[0.5] * 4] * 2


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        yield str(path), status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("what", CALLS)
def test_a_bad_call_says_where_and_what_to_do_and_writes_nothing(cli, mess, monkeypatch, what) -> None:
    bad = CALLS[what]
    monkeypatch.chdir(mess)
    before = list(_listing(mess))
    result = cli(*bad.call.split())
    assert (result.code, result.out) == (bad.code, ""), result.err
    for words in bad.said:
        assert words in result.err
    assert "\n  = " in result.err or what in SAYS_IT_ITSELF, f"no remedy: {result.err}"
    assert "Traceback" not in result.err
    assert list(_listing(mess)) == before


def test_every_plan_is_used() -> None:
    named = {word for bad in CALLS.values() for word in bad.call.split()}
    assert {f"{name}.yaml" for name in PLANS} <= named
