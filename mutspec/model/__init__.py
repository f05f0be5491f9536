"""Models as data: specs, selectors, and pure functions from configurations to specs.

`files` reads model files, `live` reads and builds Keras models, `loading` makes live models of files. What may not
enter: values of weights, plans and their steps; Keras and TensorFlow outside `live` and `loading`. Importing this
package imports neither NumPy nor h5py: the readers that need them are imported when a file is opened.
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
"""Names that are imported at first use, with their modules: `mutspec validate` opens no model and must start fast."""


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
