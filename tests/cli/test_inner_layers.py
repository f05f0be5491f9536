"""Layers inside classes of the user's own: commands say what they leave out, and `--import` tells more."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

LAYERS = """
import keras

@keras.saving.register_keras_serializable("blocks_of_a_user")
class Block(keras.layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.query_dense = keras.layers.Dense(4, name="query")

    def build(self, shape):
        self.query_dense.build(shape)

    def call(self, x):
        return self.query_dense(x)

    def get_config(self):
        return super().get_config()
"""

PLAN = """
mutspec: 1
steps:
  - {op: gaussian_noise, target: {weights: kernels}, std: 0.1}
"""

LEFT_OUT = "20 entries in 2 weights of `blk` have no known role; `kernels` does not select them"


def _forget() -> None:
    """Have neither Keras nor the process know the class."""
    import keras

    sys.modules.pop("blocks_of_a_user", None)
    keras.src.saving.object_registration.GLOBAL_CUSTOM_OBJECTS.pop("blocks_of_a_user>Block", None)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    folder = tmp_path_factory.mktemp("blocks")
    (folder / "blocks_of_a_user.py").write_text(LAYERS)
    (folder / "plan.yaml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        block = importlib.import_module("blocks_of_a_user").Block(name="blk")
    model = keras.Sequential([keras.Input((4,)), block, keras.layers.Dense(2, name="head")])
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(autouse=True)
def room(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(saved)
    monkeypatch.setenv("COLUMNS", "300")
    _forget()
    yield saved
    _forget()


CALLS = (
    ("validate", "plan.yaml", "--model", "model.keras"),
    ("apply", "plan.yaml", "model.keras", "--dry-run"),
    ("apply", "plan.yaml", "model.keras", "-o", "mutant.keras", "--force"),
    ("graph", "plan.yaml", "model.keras"),
    ("inspect", "model.keras", "--select", "{weights: kernels}"),
)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call[:1] + call[-1:]))
def test_every_command_that_selects_says_what_it_leaves_out(cli, call) -> None:
    result = cli(*call)
    assert result.code == 0
    assert LEFT_OUT in result.out + result.err
    assert "(`--import my_layers`)" in result.out + result.err


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call[:1] + call[-1:]))
def test_an_imported_class_tells_and_nothing_is_left_out(cli, call) -> None:
    result = cli(*call, "--import", "blocks_of_a_user")
    assert result.code == 0
    assert "no known role" not in result.out + result.err
    assert call[0] in ("validate",) or "blk/query_dense" in result.out


def test_a_path_with_a_role_that_the_file_does_not_tell_gets_the_numbered_one(cli, room: Path) -> None:
    result = cli("inspect", "model.keras", "--select", "blk/query_dense/kernel")
    assert result.code == 2
    assert "`blk/query_dense/var0`" in result.err
    result = cli("inspect", "model.keras", "--select", "blk/query_dense/kernel", "--import", "blocks_of_a_user")
    assert "Chooses 1 weight of 1 layer" in result.out


def test_the_layers_of_a_sensitivity_sweep_say_what_is_left_out(room: Path) -> None:
    from mutspec import MutspecWarning, matching

    with pytest.warns(MutspecWarning, match=LEFT_OUT):
        assert matching("model.keras", {"weights": "kernels"}) == ["head"]
