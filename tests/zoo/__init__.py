"""The zoo: small, seeded Keras models that between them use every construct that mutspec has to read.

`ZOO` maps a name to a builder. Building clears Keras's session, so that automatic names are the same in every process.
The builders live in modules by theme; this module only collects them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.zoo import attention, convolutional, custom, functional, precision, recurrent, simple

if TYPE_CHECKING:
    import keras

_MODULES = (simple, functional, convolutional, recurrent, attention, precision, custom)


def _seeded(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    def seeded() -> keras.Model:
        import keras
        import numpy as np

        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(7)
        model = build()
        random = np.random.default_rng(11)
        for variable in model.weights:  # so that biases, gammas and statistics are not all zeros or ones
            if str(variable.dtype) in {"float32", "float16", "bfloat16", "float64"}:
                variable.assign(random.uniform(0.1, 0.9, tuple(variable.shape)).astype("float32"))
        return model

    seeded.__name__ = build.__name__
    seeded.__doc__ = build.__doc__
    return seeded


ZOO: dict[str, Callable[[], Any]] = {
    name: _seeded(getattr(module, name)) for module in _MODULES for name in module.__all__
}
"""Every model of the zoo by name. Call an entry to build it: tiny, and the same each time."""

NO_LEGACY_H5 = frozenset({"subclassed", "shared_with_nested", "shared_everywhere"})
"""Models that a legacy `.h5` file does not hold as they are: it knows no layers in subclasses, and no sharing."""
