"""Models as data: specs, selectors, and readers of model files and of live Keras models.

What may enter: facts about file formats, and pure functions from configs and files to specs. What may not: values of
weights, plans and their steps, anything that prints; TensorFlow and Keras outside `live`; NumPy and h5py at the import
of this package (readers of files need them, and are imported when a file is opened).
"""

from __future__ import annotations

from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.model.files.archive import Archive, Extent, FileKind, Member
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
