"""What is heard when Keras loads, builds and saves models: mutspec's own warnings, and those of a user's code."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import keras
import pytest

import mutspec
from mutspec.execute.loading import load
from mutspec.model.live import without_advice

INSERT = {"op": "insert_layer", "after": "d", "layer": {"type": "Dropout", "rate": 0.5}}


@keras.saving.register_keras_serializable("quiet")
class Warns(keras.layers.Layer):
    """A layer of a user's own that warns when it is made."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        warnings.warn("of my own", UserWarning, stacklevel=1)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_keras_gives_no_advice_when_a_model_is_loaded_rebuilt_and_saved(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="d")]).save(tmp_path / f"model.{suffix}")
    caplog.clear()
    recwarn.clear()
    mutspec.apply(mutspec.plan({"steps": [INSERT]}), tmp_path / f"model.{suffix}", tmp_path / "mutant.h5")
    assert [record.getMessage() for record in caplog.records if record.name == "absl"] == []
    assert [str(each.message) for each in recwarn] == []


def test_what_a_users_own_layer_warns_of_is_heard(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), Warns()]).save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="of my own"):
        load(tmp_path / "model.keras")


def test_errors_that_keras_logs_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("absl")
    with without_advice():
        for level, path in ((30, "/x/keras/src/a.py"), (40, "/x/keras/src/a.py"), (30, "/x/mine/a.py")):
            logger.handle(logger.makeRecord("absl", level, path, 1, f"{level} {path}", (), None))
    logger.handle(logger.makeRecord("absl", 30, "/x/keras/src/a.py", 1, "after", (), None))
    heard = [record.getMessage() for record in caplog.records]
    assert heard == ["40 /x/keras/src/a.py", "30 /x/mine/a.py", "after"]
