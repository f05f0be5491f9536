"""What Keras says when it fails, in one line."""

from __future__ import annotations

import re

UNSAFE = "--unsafe (`unsafe=True` in Python, `model.unsafe=true` in a run)"
"""How a call lets code run that a model holds."""


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an exception's message that says something, with its full stop taken off."""
    lines = (line.strip() for line in str(error).splitlines())
    text = next((line for line in lines if line), type(error).__name__)
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text.rstrip(".")


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r"Exception encountered when calling .*|Arguments received by .*|Error when deserializing class .*")


def said(error: Exception) -> str:
    """The line of Keras's message that says something: without colours, and what is wrapped around it."""
    text = _COLOUR.sub("", str(error))
    text = text.rpartition("Exception encountered: ")[2]
    lines = [line for line in text.splitlines() if line.strip() and not _FRAME.match(line.strip())]
    return first_line(ValueError("\n".join(lines))) if lines else first_line(error)
