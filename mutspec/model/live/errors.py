"""What Keras says when it fails, in one line."""

from __future__ import annotations

UNSAFE = "--unsafe (`unsafe=True` in Python, `model.unsafe=true` in a run)"
"""How a call lets code run that a model holds."""


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an exception's message that says something, with its full stop taken off."""
    lines = (line.strip() for line in str(error).splitlines())
    text = next((line for line in lines if line), type(error).__name__)
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text.rstrip(".")
