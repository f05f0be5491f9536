"""The room for models as data: specs, selectors, and readers of model files and of live Keras models.

What may enter: facts on file formats, and pure functions from configs and files to specs. What may not: values of
weights, plans and their steps, anything that prints; TensorFlow and Keras outside `live` and `loading`; NumPy and h5py
at the import of this package (`files` needs them, and loads when a file is opened).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef, TensorSpec

if TYPE_CHECKING:
    from mutspec.model.files.archive import Archive, Extent, Member
    from mutspec.model.files.formats import FileKind
    from mutspec.model.files.opening import open_archive

_LATER = {
    "Archive": "files.archive",
    "Extent": "files.archive",
    "FileKind": "files.formats",
    "Member": "files.archive",
    "open_archive": "files.opening",
}
"""What is imported when it is first used, by its module: `mutspec validate` opens no model, and must start fast."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


__all__ = [
    "LEARNED",
    "Archive",
    "Call",
    "Extent",
    "FileKind",
    "Group",
    "LayerSpec",
    "Member",
    "ModelSpec",
    "TensorRef",
    "TensorSpec",
    "open_archive",
]
