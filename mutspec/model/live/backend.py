"""Imports Keras without its messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NOISY = ("keras", "tensorflow")


def import_keras() -> Any:
    """Imports Keras without the messages of TensorFlow's C++ code, which it writes before it reads its log level.

    Raises:
        ImportError: Keras is not installed, or has no backend.
    """
    with nullcontext() if "keras" in sys.modules else quiet_imports():
        import keras

        return keras


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Silences Keras and TensorFlow if modules, also the user's own, import them in the block."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    finder = _QuietFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _QuietFinder:
    """Finds Keras and TensorFlow through the other finders, and silences them while they are loaded."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Returns the spec of Keras or TensorFlow; None for other modules, which the other finders find."""
        if name not in _NOISY:
            return None
        others = (each for each in sys.meta_path if not isinstance(each, _QuietFinder))  # blocks may be nested
        found = (each.find_spec(name, path, target) for each in others)
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
    """Silences standard error, also for C++ code."""
    sys.stderr.flush()
    try:
        stderr, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # standard error is closed
        yield
        return
    os.dup2(silence, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
