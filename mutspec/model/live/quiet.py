"""Silences the advice of Keras, because mutspec has its own warnings about what a user should know."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = re.compile(r"[/\\](keras|tensorflow|absl)[/\\]")


@contextmanager
def without_advice() -> Iterator[None]:
    """Silences warnings of Keras and TensorFlow in a block, but not errors, and not messages of the user's own code.

    Only the thread that holds `building_alone` may use it, because Python's filters of warnings are for all threads.
    """
    logger = logging.getLogger("absl")
    logger.addFilter(_is_not_advice)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(keras|tensorflow)(\.|$)")
            yield
    finally:
        logger.removeFilter(_is_not_advice)


def _is_not_advice(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or _LIBRARIES.search(record.pathname) is None
