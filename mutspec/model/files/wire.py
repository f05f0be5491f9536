"""Reads protocol buffers, as far as needed: the fields of a message, by their numbers."""

from __future__ import annotations

from collections.abc import Iterator

Field = int | bytes
"""A field's value: a number, or the bytes of a text, a message or a packed list."""

_LONGEST = 10
"""The bytes of a number of 64 bits."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number of variable length, and the offset after it.

    Raises:
        ValueError: it has no end.
    """
    value = 0
    for index in range(_LONGEST):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("a number has no end")


def fields(data: bytes) -> Iterator[tuple[int, Field]]:
    """Yields the fields of a message, in their order.

    Raises:
        ValueError: it is not a message.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
            yield number, value
            continue
        size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
        if size < 0 or at + size > len(data):
            raise ValueError("a field reaches beyond its message")
        part = data[at : at + size]
        yield number, part if kind == 2 else int.from_bytes(part, "little")
        at += size


def message(data: bytes) -> dict[int, Field]:
    """Returns the last value of each field.

    Raises:
        ValueError: it is not a message.
    """
    return dict(fields(data))


def text(value: Field | None) -> str:
    """Returns a field that is a text; empty if it is missing, or not a text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def number(value: Field | None) -> int:
    """Returns a field that is a number; 0 if it is missing, or not a number."""
    return value if isinstance(value, int) else 0
