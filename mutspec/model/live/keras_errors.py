"""Messages of Keras's errors in one line."""

from __future__ import annotations

import re

UNSAFE = "--unsafe (`unsafe=True` in Python, `model.unsafe=true` in a run)"
"""The options that let a call run code in a model."""


def first_line(error: BaseException, limit: int = 200) -> str:
    """Returns the first line of an exception's message that is not empty, without its full stop."""
    lines = (line.strip() for line in str(error).splitlines())
    text = next((line for line in lines if line), type(error).__name__)
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text.rstrip(".")


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"Exception encountered when calling .*|Arguments received by .*|Error when deserializing class .*")


def said(error: Exception) -> str:
    """Returns the main line of Keras's message, without colours and the lines that Keras adds around it."""
    text = _COLOUR.sub("", str(error))
    text = text.rpartition("Exception encountered: ")[2]
    lines = [line for line in text.splitlines() if line.strip() and not _FRAME.match(line.strip())]
    return first_line(ValueError("\n".join(lines))) if lines else first_line(error)
