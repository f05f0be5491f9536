"""Members of the `.keras` files that mutspec writes: they state nothing that differs each time a model is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time that all members of a zip have, so that the same model gives the same bytes."""


def zip_member(name: str) -> ZipInfo:
    """Returns a new member."""
    info = ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    return info


def numbered(config: Any) -> Any:
    """Returns a config whose shared objects are numbered in order, instead of by their place in memory."""
    return _numbered(config, {})


def _numbered(value: Any, numbers: dict[Any, int]) -> Any:
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(item, len(numbers))
            if key == "shared_object_id" and isinstance(item, int)
            else _numbered(item, numbers)
            for key, item in value.items()
        }
    return [_numbered(item, numbers) for item in value] if isinstance(value, list) else value


def date_saved_of(path: Path) -> str:
    """Returns the date that a `.keras` file states; for other files a fixed one."""
    try:
        with ZipFile(path) as file:
            return str(json.loads(file.read("metadata.json")).get("date_saved", "")) or "1980-01-01@00:00:00"
    except Exception:  # not a zip, or one without metadata: reading the model reports what is wrong with it
        return "1980-01-01@00:00:00"
