"""Modules in the folder of a call: found if the call names them, and never in the place of others."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Call

STRAYS = ("copy", "json", "keras", "numpy", "yaml", "hydra", "tensorflow", "sklearn", "not_installed")
"""Modules that Python, mutspec, or what it imports asks for."""

LAYER = """
import sys
import tensorflow
import keras

print("mine", file=sys.stderr)

@keras.saving.register_keras_serializable()
class Own(keras.layers.Layer):
    pass
"""
DATA = """
import numpy as np
import own_neighbour

def load(samples):
    import own_late_neighbour
    return np.zeros((samples, 8, 8, 1), "float32"), np.arange(samples)
"""
NOTES = """
import os

with open(os.path.join(os.path.dirname(__file__), "imported"), "a") as file:
    file.write(f"{os.getpid()} ")
"""
CALLBACK = """
import os
from hydra.experimental.callback import Callback

class Own(Callback):
    def on_job_start(self, config, **_):
        with open(os.path.join(os.path.dirname(__file__), "called"), "a") as file:
            file.write(f"{os.getpid()} ")
"""


@pytest.fixture
def trapped(room: Path) -> Path:
    """A working folder with modules of the user's own, and with stray ones that leave a canary if they are executed."""
    canary = f"open({str(room / 'canary')!r}, 'a').write(f'{{__name__}} ')\n"
    for name in STRAYS:
        (room / f"{name}.py").write_text(canary)
    for name in ("keras_cv", "hydra_plugins"):
        (room / name).mkdir()
        (room / name / "__init__.py").write_text(canary)
    (room / "keras_cv" / "layers.py").write_text(canary)
    (room / "own_layers.py").write_text(LAYER)
    (room / "own_data.py").write_text(DATA)
    (room / "own_neighbour.py").write_text("")
    (room / "own_late_neighbour.py").write_text("")
    (room / "own_callback.py").write_text(CALLBACK)
    (room / "own_notes.py").write_text(NOTES)
    return room


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a new Python process leaves."""
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**plain, **variables}, check=False)


def executed(room: Path) -> str:
    """The stray modules that were executed."""
    canary = room / "canary"
    return canary.read_text() if canary.exists() else ""


def names_keras_cv(room: Path) -> Path:
    """A model file with a layer of a module that Keras imports when a model names it."""
    made = room / "hub.keras"
    with zipfile.ZipFile(room / "model.keras") as base, zipfile.ZipFile(made, "w") as written:
        for name in base.namelist():
            data = base.read(name)
            if name == "config.json":
                document = json.loads(data)
                layer = next(each for each in document["config"]["layers"] if each["class_name"] == "Dense")
                layer |= {"module": "keras_cv.layers", "class_name": "Dense", "registered_name": None}
                data = json.dumps(document).encode()
            written.writestr(name, data)
    return made


def test_a_call_by_python_m_executes_nothing_in_its_folder_but_what_it_names(trapped: Path) -> None:
    """A module that imports Keras is heard, and neither Keras nor TensorFlow is."""
    data = ("data._target_=own_data.load", "+data.samples=4")
    done = python("-m", "mutspec", "run", "plan=dense_noise", *data, "--import", "own_layers", TF_CPP_MIN_LOG_LEVEL="0")
    assert (done.returncode, executed(trapped), done.stderr) == (0, "", "mine\n")
    assert "4 samples of own_data.load" in done.stdout


def test_a_module_of_the_call_is_found_where_jobs_have_folders_of_their_own(cli: Call, trapped: Path) -> None:
    (trapped / "own_data.py").rename("own_chdir_data.py")
    arguments = ("plan=dense_noise", "data._target_=own_chdir_data.load", "+data.samples=4", "hydra.job.chdir=true")
    done = cli("run", "-m", *arguments)
    assert (done.code, executed(trapped)) == (0, ""), done.err
    assert "4 samples of own_chdir_data.load" in done.out


@pytest.fixture(autouse=True)
def _own_handlers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides pytest's handlers of logs from the logging of Hydra's jobs, which closes all that there are."""
    monkeypatch.setattr(logging, "_handlerList", [])


NAMED = {
    "a callback": "callbacks: {x: {_target_: NAME.Own}}",
    "an argument of a callback": "callbacks: {x: {_target_: own_callback.Takes, it: {_target_: NAME.make}}}",
    "a function that a callback is given": (
        "callbacks: {x: {_target_: own_callback.Takes, it: {_target_: hydra.utils.get_method, path: NAME.make}}}"
    ),
    "a handler of logs": (
        "job_logging: {version: 1, formatters: {}, handlers: {h: {class: NAME.Handler}}, root: {handlers: [h]}}"
    ),
}
"""Parts of Hydra's configuration that name a module of the call's folder."""
OF_ALL_KINDS = """
import logging
from hydra.experimental.callback import Callback

class Own(Callback):
    pass

class Handler(logging.StreamHandler):
    pass

def make():
    pass
"""


@pytest.mark.parametrize("kind", NAMED)
def test_whatever_the_configuration_names_is_found_in_the_folder(kind: str, cli: Call, trapped: Path) -> None:
    name = f"own_{kind.replace(' ', '_')}"
    (trapped / f"{name}.py").write_text(OF_ALL_KINDS)
    (trapped / "own_callback.py").write_text(f"{CALLBACK}\nclass Takes(Own):\n    def __init__(self, it): pass\n")
    (trapped / "mine.yaml").write_text(f"defaults: [config, _self_]\nhydra: {{{NAMED[kind].replace('NAME', name)}}}\n")
    done = cli("run", "--config-dir", ".", "--config-name", "mine", "plan=dense_noise", "mode=dry_run")
    assert (done.code, executed(trapped)) == (0, ""), done.err
    assert name in sys.modules


def test_what_a_job_of_a_sweep_names_is_found_in_the_folder(cli: Call, trapped: Path) -> None:
    (trapped / "own_of_job.py").write_text(OF_ALL_KINDS)
    (trapped / "own_calls.py").write_text(
        "from hydra.utils import instantiate\nfrom hydra.experimental.callback import Callback\n"
        "class Calls(Callback):\n    def on_job_start(self, config, **_): instantiate(config.it)\n"
    )
    call = ("run", "-m", "plan=dense_noise", "mode=dry_run", "+hydra.callbacks.x._target_=own_calls.Calls")
    done = cli(*call, "+it._target_=builtins.dict,own_of_job.make")
    assert (done.code, executed(trapped)) == (0, ""), done.err
    assert "own_of_job" in sys.modules


WRONG_NAMES = {
    "a module that there is not": ("+hydra.callbacks.x._target_=own_nowhere.Own", "No module named 'own_nowhere'"),
    "an argument that it does not take": (
        "+hydra.callbacks.x._target_=own_callback.Own +hydra.callbacks.x.speed=3",
        "Error in call to target 'own_callback.Own': Own() takes no arguments",
    ),
    "a handler that there is not": (
        "hydra/job_logging=default hydra.job_logging.handlers.console.class=own_nowhere.Own",
        "Unable to configure handler 'console': No module named 'own_nowhere'",
    ),
}


@pytest.mark.parametrize("mistake", WRONG_NAMES)
def test_a_wrong_name_of_code_is_told(mistake: str, cli: Call, trapped: Path) -> None:
    override, words = WRONG_NAMES[mistake]
    done = cli("run", "plan=dense_noise", "mode=dry_run", *override.split())
    assert done.code == 2
    assert words in done.err
    assert "HYDRA_FULL_ERROR" not in done.err


@pytest.mark.parametrize(("launcher", "package"), [("joblib", "joblib"), ("submitit_local", "submitit")])
def test_the_processes_of_launchers_find_what_the_call_names_and_nothing_else(
    launcher: str, package: str, trapped: Path
) -> None:
    pytest.importorskip(package)
    callback = "+hydra.callbacks.own._target_=own_callback.Own"
    call = ("run", "-m", "plan=dense_noise", "mode=dry_run", "plan.seed=1", f"hydra/launcher={launcher}", callback)
    done = python("-m", "mutspec", *call, "--import", "own_notes")
    assert (done.returncode, executed(trapped)) == (0, ""), done.stderr
    assert len([*trapped.glob("runs/*/*/*/result.json")]) == 1
    caller, *workers = dict.fromkeys((trapped / "imported").read_text().split())
    assert workers, "no worker has imported it"
    assert caller not in (trapped / "called").read_text().split()


def test_an_import_that_is_nowhere_is_refused_though_a_neighbour_of_the_call_asks_for_another(trapped: Path) -> None:
    done = python("-m", "mutspec", "apply", "dense_noise.yaml", "model.keras", "--dry-run", "--import", "own_nothing")
    assert (done.returncode, executed(trapped)) == (2, "")
    assert "the module `own_nothing` cannot be imported" in done.stderr


def test_keras_imports_nothing_in_the_folder_because_a_model_names_it(cli: Call, trapped: Path) -> None:
    names_keras_cv(trapped)
    done = cli("run", "plan=dense_noise", "model.path=hub.keras", "--import", "own_neighbour")
    assert (done.code, executed(trapped)) == (2, ""), done.err
    assert "Keras cannot load hub.keras" in done.err


def test_in_an_interactive_session_a_model_has_nothing_imported_either(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mutspec as api

    (room / "keras_cv").mkdir()
    for name in ("__init__", "layers"):
        (room / "keras_cv" / f"{name}.py").write_text("print('executed')\n")
    names_keras_cv(room)
    monkeypatch.syspath_prepend("")  # as an interactive session has it
    with pytest.raises(api.ModelError):
        api.apply(api.load_plan("dense_noise.yaml"), "hub.keras")
    assert ("keras_cv" in sys.modules, capsys.readouterr().out) == (False, "")
    __import__("keras_cv")  # what the user imports is the user's
    monkeypatch.delitem(sys.modules, "keras_cv")
    assert capsys.readouterr().out == "executed\n"


def test_a_folder_that_the_user_has_put_on_the_path_is_on_the_path(room: Path) -> None:
    (room / "yaml.py").write_text("print('executed')\n")
    assert "executed" in python("-m", "mutspec", "validate", "dense_noise.yaml", PYTHONPATH=str(room)).stdout


def test_a_module_of_an_earlier_call_does_not_open_the_folder(cli: Call, trapped: Path) -> None:
    assert cli("apply", "dense_noise.yaml", "model.keras", "--dry-run", "--import", "own_neighbour").code == 0
    with pytest.raises(ImportError):
        __import__("not_installed")
    assert (executed(trapped), [each for each in sys.path if each in ("", str(trapped))]) == ("", [])
