"""Model files that mutspec does not read: how to recognise them, and a hint on what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mutspec.errors import ModelError
from mutspec.model.files.found import Found

_TO_KERAS = "load it where it comes from, bring its weights into a Keras model, and save that as .keras"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A kind of file that is refused by its name.

    Arguments:
        title: what it is called, with its article.
        hint: what to do instead.
        fits: tells whether a file is one.
    """

    title: str
    hint: str
    fits: Callable[[Found], bool]


def _named(*suffixes: str) -> Callable[[Found], bool]:
    return lambda found: found.path.name.lower().endswith(suffixes)


def _starts(*heads: bytes) -> Callable[[Found], bool]:
    return lambda found: found.head.startswith(heads)


_ONNX = re.compile(rb"\x08[\x01-\x20](\x12.{1,40}|\x3a)", re.DOTALL)
"""How a serialised ONNX model begins: the version of the format, then the producer's name, or the graph."""

_LFS = b"version https://"
_LFS_BYTES = 1024
"""The longest pointer that Git LFS reads."""
_PICKLE = re.compile(rb"\x80[\x02-\x05]")

UNSUPPORTED = (
    Unsupported(
        "a TensorFlow Lite model",
        "mutate the Keras model that it was converted from, and convert the mutant",
        lambda found: found.head[4:8] == b"TFL3",
    ),
    Unsupported("a Git LFS pointer", "fetch the file itself with `git lfs pull`", _starts(_LFS)),
    Unsupported(
        "an ONNX model",
        "mutate the Keras model that it was exported from, and export the mutant",
        lambda found: _named(".onnx")(found) or (not _named(".pb")(found) and bool(_ONNX.match(found.head[:48]))),
    ),
    Unsupported(
        "a frozen TensorFlow graph",
        "mutate the Keras model or the SavedModel that it was frozen from",
        lambda found: found.path.name != "saved_model.pb" and _named(".pb", ".pbtxt")(found),
    ),
    Unsupported(
        "the graph of a SavedModel",
        "name the folder that it lies in, which holds the weights too",
        lambda found: found.path.name == "saved_model.pb",
    ),
    Unsupported(
        "the values of a TensorFlow checkpoint",
        "name its index, the file that ends in .index",
        lambda found: re.search(r"\.data-\d{5}-of-\d{5}$", found.path.name) is not None,
    ),
    Unsupported("a GGUF model", _TO_KERAS, _starts(b"GGUF")),
    Unsupported("a file of NumPy arrays (.npy)", _TO_KERAS, _starts(b"\x93NUMPY")),
    Unsupported("a pickle, which may run code when it is loaded", _TO_KERAS, lambda f: bool(_PICKLE.match(f.head))),
    Unsupported(
        "the configuration of a model, without weights",
        "name the file with the weights, and give this one as --architecture",
        lambda found: "class_name" in found.json,
    ),
)
"""The kinds, asked in order if no format fits."""


def git_lfs_pointer(path: Path) -> str | None:
    """Returns the text that Git LFS keeps in the place of a file; None if the file is there itself, or cannot be read.

    Its lines name the file's digest and size.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LFS_BYTES + 1)
        return text.decode() if text.startswith(_LFS) and len(text) <= _LFS_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None


def unsupported_zip(path: Path, members: tuple[str, ...]) -> ModelError | None:
    """Returns the refusal of a zip that is a model of another kind; None if its members do not show that."""
    if any(name.endswith("data.pkl") for name in members):
        return ModelError(f"{path} is a PyTorch file, which mutspec does not read", hint=_TO_KERAS)
    if members and all(name.endswith(".npy") for name in members):
        return ModelError(f"{path} is a file of NumPy arrays (.npz), which mutspec does not read", hint=_TO_KERAS)
    return None
