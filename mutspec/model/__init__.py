"""Models as data: specs, selectors, and pure functions from configurations to specs.

`files` reads model files, `live` reads and builds Keras models, `loading` makes live models of files. What may not
enter: values of weights, plans and their steps; Keras and TensorFlow outside `live` and `loading`. Importing this
package imports neither NumPy nor h5py: the readers that need them are imported when a file is opened.
"""

from __future__ import annotations

from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.model.files.archive import Archive, Extent, Member
from mutspec.model.files.formats import FileKind
from mutspec.model.files.opening import open_archive
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef, TensorSpec

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
