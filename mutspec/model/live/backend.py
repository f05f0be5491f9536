"""Importing Keras without the noise."""

from __future__ import annotations

import os
import sys
from typing import Any


def import_keras() -> Any:
    """Keras, without what TensorFlow's C++ code writes while it is loaded: it does so before it knows its log level.

    Raises:
        ImportError: it is not installed, or has no backend.
    """
    if "keras" in sys.modules:
        import keras

        return keras
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    try:
        stderr, silence = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # standard error is closed, so that there is nothing to silence
        import keras

        return keras
    os.dup2(silence, 2)
    try:
        import keras
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(silence)
    return keras
