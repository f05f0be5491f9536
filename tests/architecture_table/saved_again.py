"""The part of the comparison of formats that is done in plain Keras: it loads mutants, and saves them again.

    python -m tests.architecture_table.saved_again FOLDER…

loads each mutant that a folder's `expectations.json` names, in a process that cannot import mutspec. It writes what
Keras saves of it in each format, and what it predicts.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

AGAIN = {"keras": ".again.keras", "weights.h5": ".again.weights.h5", "h5": ".again.h5"}
"""The formats, and how Keras's files end."""

LOAD = "load"


def predicted(model: Any) -> list[np.ndarray]:
    """Returns what a model predicts on random inputs. Convolutions of channels_first run on CPUs only in XLA."""
    from tests.zoo.play import by_xla, inputs_of, outputs

    given = inputs_of(model)
    try:
        return outputs(model, given)
    except Exception:
        return by_xla(model, given)


def save_again(folder: Path, name: str) -> dict[str, str]:
    """Loads a mutant, saves it in each format, and lets it predict. Returns what Keras cannot do, and why.

    The keys are formats; `LOAD` if it cannot load the mutant, or not run it.
    """
    import keras

    keras.backend.clear_session()
    try:
        model = keras.saving.load_model(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", *predicted(model))
    except Exception as error:
        return {LOAD: first_line(error)}
    failed = {}
    for kind, suffix in AGAIN.items():
        target = folder / f"{name}{suffix}"
        try:
            model.save_weights(target) if kind == "weights.h5" else model.save(target)
        except Exception as error:
            failed[kind] = first_line(error)
    return failed


def first_line(error: Exception) -> str:
    """Returns the class of an error, and the first line of its message."""
    return f"{type(error).__name__}: {[*str(error).strip().splitlines(), ''][0]}"


def main(folders: Sequence[str]) -> None:
    """Saves the mutants of some folders again, and writes what Keras cannot save into each."""
    if "mutspec" in sys.modules:
        raise RuntimeError("this is not plain Keras")
    sys.modules["mutspec"] = None  # type: ignore[assignment]
    logging.getLogger("absl").setLevel(logging.ERROR)  # Keras warns of each `.h5` file that it is a legacy format
    from tests.zoo.custom import classes

    classes()  # registers them
    for folder in map(Path, folders):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = json.loads((folder / "expectations.json").read_text())
            (folder / "again.json").write_text(json.dumps({name: save_again(folder, name) for name in names}))


if __name__ == "__main__":
    main(sys.argv[1:])
