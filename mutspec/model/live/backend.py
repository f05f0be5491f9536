"""Importing Keras without the noise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NOISY = ("keras", "tensorflow")


def import_keras() -> Any:
    """Keras, without what TensorFlow's C++ code writes while it is loaded: it does so before it knows its log level.

    Raises:
        ImportError: it is not installed, or has no backend.
    """
    import_quietly()
    import keras

    return keras


def import_quietly() -> None:
    """Have Keras and TensorFlow make no noise whoever imports them from now on, such as modules of the user's own."""
    if not any(isinstance(each, _QuietFinder) for each in sys.meta_path):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
    """Finds Keras and TensorFlow where the other finders do, and lets nothing be heard while they are loaded."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is; None for all others, which Python finds itself."""
        if name not in _NOISY:
            return None
        found = (each.find_spec(name, path, target) for each in sys.meta_path if each is not self)
        spec = next((each for each in found if each is not None), None)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_quietly(module: ModuleType) -> None:
            with _silence():
                load(module)

        spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _silence() -> Iterator[None]:
    """Let nothing be heard on standard error, that of C++ code neither."""
    sys.stderr.flush()
    try:
        stderr, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # standard error is closed, so that there is nothing to silence
        yield
        return
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
