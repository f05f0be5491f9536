"""Calls into Keras without its advice: mutspec's own warnings say what a user of it should know."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = re.compile(r"[/\\](keras|tensorflow|absl)[/\\]")


@contextmanager
def without_advice() -> Iterator[None]:
    """A block in which Keras and TensorFlow warn of nothing. Errors, and what a user's own code says, are heard.

    It is for the thread that builds alone: Python's filters of warnings are those of all threads.
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
