"""What independent readers see in files: `zipfile`, `h5py`, `json` and `csv`, and not a line of mutspec.

They may crash or hang on what is damaged, as mutspec may not. So each runs in a process of its own, and prints JSON.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.fuzz.hostile import MARKUP

_MOST_BYTES = 50 * 10**6
_WEIGHTS = "model.weights.h5"
_CODE = tuple(
    f'"class_name": "{name}"'.encode() for name in ("__lambda__", "Lambda", "TFSMLayer", "TorchModuleWrapper")
)
"""How Keras writes what runs code when a model is loaded."""


def print_model(arguments: Sequence[str]) -> None:
    """Print what is in a model file: whether its zip is whole, and of each dataset the shape and digests."""
    (name,) = arguments
    data = Path(name).read_bytes()
    facts: dict[str, Any] = {"is_zip": data.startswith(b"PK"), "is_whole": True}
    if facts["is_zip"]:
        try:
            with zipfile.ZipFile(BytesIO(data)) as file:
                facts["is_whole"] = file.testzip() is None
                configuration = file.read("config.json")
                facts["has_code"] = any(name in configuration for name in _CODE)
                data = file.read(_WEIGHTS)
        except Exception as error:
            facts |= {"is_whole": False, "why": repr(error)}
            data = _unchecked(data)
    facts["datasets"] = _datasets(data)
    print(json.dumps(facts))


def _unchecked(data: bytes) -> bytes:
    """The weights of a zip file whose checksum is wrong."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as file, file.open(_WEIGHTS) as member:
            member._expected_crc = None  # type: ignore[attr-defined]
            return member.read()
    except Exception:
        return b""


def _datasets(data: bytes) -> dict[str, Any] | None:
    """Of each dataset: shape, dtype, digest, and the digest of its negation. None if h5py cannot read them all."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.size is None or item.size * item.dtype.itemsize > _MOST_BYTES:
                raise ValueError("too large")
            values = item[()]
            found[name] = {
                "shape": list(item.shape),
                "dtype": str(item.dtype),
                "digest": _digest(np.asarray(values).tobytes()),
                "negated": _digest(np.negative(values).tobytes()) if np.asarray(values).dtype.kind == "f" else "",
            }

    try:
        with h5py.File(BytesIO(data), "r") as file:
            file.visititems(visit)
    except Exception:
        return None
    return found


def print_report(arguments: Sequence[str]) -> None:
    """Print what is in a report: the rows of its table, cells that a spreadsheet would run, markup let through."""
    folder = Path(arguments[0])
    csv.field_size_limit(10**8)
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    cells = [cell for row in table for cell in row if cell[:1] in ("=", "+", "-", "@", "\t") and not _is_number(cell)]
    html = folder / "report.html"
    page = html.read_text(encoding="utf-8") if html.exists() else ""
    print(json.dumps({"rows": len(table) - 1, "formulas": cells[:3], "markup": MARKUP in page}))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def print_arrays(arguments: Sequence[str]) -> None:
    """Print the digests of x and y in a NumPy archive."""
    with np.load(arguments[0], allow_pickle=False) as file:
        print(json.dumps({name: _digest(file[name].tobytes()) for name in ("x", "y") if name in file.files}))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def facts_of(text: str) -> dict[str, Any]:
    """What one of the above printed; nothing if it could not read the file."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}
