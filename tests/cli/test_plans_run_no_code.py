"""Whatever a plan says, and whichever way it is put on a model: no code of its runs, and no file that it names is read.

A canary sees it: a file that the code would write, and a text in a file that Keras would read into the mutant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call

SECRET = "the-text-of-the-canary"


def _code(path: Path) -> dict[str, Any]:
    """A Python function as Keras serialises one; it writes a file when it is called."""
    from keras.src.utils import python_utils

    code, defaults, closure = python_utils.func_dump(lambda x, _path=str(path): [open(_path, "w").close(), x][1])
    parts = {"code": code, "defaults": defaults, "closure": closure}  # as a Lambda layer holds it; else in `value`
    return {"class_name": "__lambda__", "config": {**parts, "value": list(parts.values())}}


def _attacks(folder: Path) -> dict[str, dict[str, Any]]:
    """Steps that would run code or read a file, by what they do."""
    words = folder / "words.txt"
    words.write_text(SECRET + "\n")
    code = _code(folder / "canary")
    known = {"module": "keras.layers", "registered_name": None}
    lookup = {**known, "class_name": "StringLookup", "config": {"name": "words", "vocabulary": str(words)}}
    tfsm = {"name": "t", "filepath": str(folder / "saved_model"), "call_endpoint": "serve"}
    dotted = {"module": "keras", "class_name": "layers.TFSMLayer", "config": tfsm, "registered_name": None}
    torch = {"module": "keras", "class_name": "layers.TorchModuleWrapper", "config": {"module": code}}
    lambda_layer = {**known, "class_name": "Lambda", "config": {"name": "l", "function": code, "output_shape": [4]}}

    def within(*layers: Any) -> dict[str, Any]:
        return {"class_name": "Sequential", "config": {"name": "block", "layers": list(layers)}}

    def insert(layer: dict[str, Any]) -> dict[str, Any]:
        return {"op": "insert_layer", "id": "new", "after": "dense", "layer": layer}

    def configure(**values: Any) -> dict[str, Any]:
        return {"op": "configure_layer", "target": {"type": "Dense"}, "set": values}

    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return {
        "activation": configure(activation=code),
        "initializer": configure(kernel_initializer=code),
        "registered regularizer": configure(kernel_regularizer={**code, "registered_name": "mine>x"}),
        "code in a regularizer": configure(
            kernel_regularizer={"class_name": "mine>R", "registered_name": "mine>R", "config": {"of": code}}
        ),
        "function of a module": configure(activation=function),
        "Lambda": insert(lambda_layer),
        "nested Lambda": insert(within(lambda_layer)),
        "wrapped Lambda": insert({"type": "TimeDistributed", "layer": lambda_layer}),
        "dotted TFSMLayer": insert(dotted),
        "nested TFSMLayer": insert(within(dotted)),
        "nested TorchModuleWrapper": insert(within(torch)),
        "vocabulary": insert(lookup),
        "nested vocabulary": insert(within(lookup)),
        "replaced by code": {"op": "replace_layer", "target": "dense", "layer": within(within(lambda_layer))},
    }


NAMES = (
    "activation",
    "initializer",
    "registered regularizer",
    "code in a regularizer",
    "function of a module",
    "Lambda",
    "nested Lambda",
    "wrapped Lambda",
    "dotted TFSMLayer",
    "nested TFSMLayer",
    "nested TorchModuleWrapper",
    "vocabulary",
    "nested vocabulary",
    "replaced by code",
)


def _is_untouched(folder: Path) -> bool:
    """Whether no code ran, and the text of the file that was named is nowhere but in it."""
    holders = [path.name for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    return not (folder / "canary").exists() and holders == ["words.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_no_command_runs_what_a_plan_brings(room: Path, cli: Call, name: str) -> None:
    steps = [_attacks(room)[name]]
    Path("attack.yaml").write_text(json.dumps({"mutspec": 1, "steps": steps}))
    for call in (
        ("apply", "attack.yaml", "model.keras", "-o", "out.keras", "--unsafe"),
        ("apply", "attack.yaml", "model.keras", "-o", "out.weights.h5"),
        ("apply", "attack.yaml", "model.keras", "--dry-run", "--unsafe"),
        ("graph", "attack.yaml", "model.keras"),
    ):
        result = cli(*call)
        assert (result.code, result.out) == (2, ""), call
        assert "Traceback" not in result.err
    assert not Path("out.keras").exists()
    assert _is_untouched(room)


def test_attacks_are_told_one_by_one(tmp_path: Path) -> None:
    assert set(NAMES) == set(_attacks(tmp_path))


@pytest.mark.parametrize("name", ["code in a regularizer", "nested Lambda"])
def test_no_evaluation_and_no_python_call_runs_it(room: Path, cli: Call, name: str) -> None:
    import keras
    import numpy as np

    import mutspec as api

    steps = [_attacks(room)[name]]
    Path("attack.yaml").write_text(json.dumps({"mutspec": 1, "steps": steps}))
    call = ("plan_file=attack.yaml", "model.path=model.keras", "model.unsafe=true")
    for swept in (("-m", "plan.seed=0,1"), ("mode=dry_run",)):
        result = cli("run", *call, *swept)
        assert result.code == 2
        assert "Traceback" not in result.err
    model = keras.saving.load_model("model.keras")
    data = (np.zeros((2, *model.input_shape[1:]), "float32"), np.zeros(2, "int32"))
    plan = api.load_plan("attack.yaml")
    for call in (
        lambda: api.apply(plan, model, unsafe=True),
        lambda: api.apply(plan, "model.keras", unsafe=True),
        lambda: api.apply(plan, "model.keras", "out.keras", unsafe=True),
        lambda: api.dry_run(plan, model, unsafe=True),
        lambda: api.sweep(plan, model, data, unsafe=True),
    ):
        with pytest.raises(api.PlanError):
            call()
    assert _is_untouched(room)


def test_the_canaries_would_see_it(room: Path) -> None:
    """Plain Keras, told to trust them, runs the code and reads the file of the attacks above."""
    import keras

    attacks = _attacks(room)
    function = keras.saving.deserialize_keras_object(attacks["activation"]["set"]["activation"], safe_mode=False)
    function(1)
    assert (room / "canary").exists()
    lookup = keras.saving.deserialize_keras_object(attacks["vocabulary"]["layer"], safe_mode=False)
    assert SECRET in lookup.get_vocabulary()


def test_a_model_file_runs_its_code_only_if_the_call_says_so(room: Path, cli: Call) -> None:
    import keras

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(10, name="out")(keras.layers.Flatten(name="flatten")(inputs))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, name="twice")(x)).save("code.keras")
    Path("drop.yaml").write_text(
        json.dumps({"mutspec": 1, "steps": [{"op": "insert_layer", "after": "out", "layer": {"type": "ReLU"}}]})
    )
    for output in ("out.keras", "out.h5"):  # mutspec writes them, and runs nothing
        assert cli("apply", "drop.yaml", "code.keras", "-o", output).code == 0
    crop = {"op": "insert_layer", "before": "flatten", "layer": {"type": "RandomCrop", "height": 8, "width": 8}}
    Path("crop.yaml").write_text(json.dumps({"mutspec": 1, "steps": [crop]}))
    refused = cli("apply", "crop.yaml", "code.keras", "-o", "crop.keras")  # for which Keras must load the model
    assert refused.code == 2
    assert "`twice` (Lambda) holds Python code" in refused.err
    assert "--unsafe" in refused.err
    assert cli("apply", "crop.yaml", "code.keras", "-o", "crop.keras", "--unsafe").code == 0
    evaluated = cli("run", "plan=dense_noise", "model.path=code.keras")
    assert evaluated.code == 2
    assert "model.unsafe=true" in " ".join(evaluated.err.split())
