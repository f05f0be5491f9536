"""What a patch says of its two models: fingerprints, and how each is laid out where their structures differ.

It is one JSON document, deflated, which the patch holds as a tensor of bytes. The metadata of the file repeat what a
person wants to see of it. The values of weights are tensors of their own: see `payload.py`.
"""

from __future__ import annotations

import json
import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mutspec.access.fingerprint import Fingerprint
from mutspec.errors import ModelError
from mutspec.model.config import parse_json
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.limits import current_limits

Shape = Annotated[tuple[Annotated[int, Meta(ge=0, lt=1 << 40)], ...], Meta(max_length=32)]
"""The shape of what is stored. HDF5 has no more than 32 axes."""

FORMAT_VERSION = "1"
DOCUMENT = "document"
"""The name of the tensor that holds the document."""


class StoredTensor(Struct, frozen=True):
    """A weight of a model, and where Keras 3 stores it."""

    path: Annotated[str, Meta(min_length=1)]
    layer: str
    role: str
    shape: Shape
    dtype: str
    stored: Annotated[str, Meta(description="Its path in a `.weights.h5` file; empty if that is not known.")] = ""


class StoredValue(Struct, frozen=True):
    """A value that is stored with a model and is not one of its weights."""

    shape: Shape
    dtype: str


class ModelLayout(Struct, frozen=True):
    """All that a file of a model states, without values.

    Its weights come from the model that is patched, from another weight of it, or from the patch.
    """

    keras_version: str
    config: Annotated[dict[str, Any] | None, Meta(description="The serialised model; null for weights alone.")]
    tensors: tuple[StoredTensor, ...]
    others: Annotated[dict[str, StoredValue], Meta(description="Other stored values, by stored path.")]
    names: Annotated[dict[str, str], Meta(description="The names of layers, by stored path.")]
    assets: Annotated[
        dict[str, str], Meta(description="Files of layers: the name of each, and that of the same file in the other.")
    ]


class Side(Struct, frozen=True):
    """One of the two models.

    `tensors` has the fingerprints of all its weights for the model before, and for the model after those of the weights
    that the model before does not have, or has with other bits.
    """

    name: Annotated[str, Meta(description="The name of the file that it was read from.")]
    kind: Annotated[str, Meta(description="The format of that file.")]
    structure: Annotated[str, Meta(description="The digest of its structure.")]
    tensors: Annotated[dict[str, str], Meta(description="Fingerprints of weights, by path.")]
    same_as: Annotated[
        dict[str, str], Meta(description="Weights that are weights of the other model under another path, by path.")
    ]
    layout: ModelLayout | None = None


class PatchDocument(Struct, frozen=True):
    """A patch, without the values of weights."""

    engine: str
    before: Side
    after: Side

    @property
    def is_structural(self) -> bool:
        """Whether the two models differ in structure."""
        return self.before.structure != self.after.structure

    def fingerprint_before(self) -> Fingerprint:
        """Returns the fingerprint of the model before."""
        return Fingerprint(self.before.structure, self.before.tensors)

    def fingerprint_after(self) -> Fingerprint:
        """Returns the fingerprint of the model after."""
        layout = self.after.layout
        paths = [*self.before.tensors] if layout is None else [tensor.path for tensor in layout.tensors]
        known = {**self.before.tensors, **self.after.tensors}
        return Fingerprint(self.after.structure, {path: known.get(path, "") for path in paths})


AGAIN = "copy or make the patch again"
"""What to do about a patch that is damaged."""


def packed(document: PatchDocument) -> bytes:
    """Returns a document as it stands in a patch."""
    text = json.dumps(msgspec.to_builtins(document), separators=(",", ":"))
    return zlib.compress(text.encode(), 9)


def unpacked(data: bytes, shown: str) -> PatchDocument:
    """Reads a document.

    Arguments:
        data: as `packed` returned it.
        shown: the name of the patch, for errors.

    Raises:
        ModelError: it is damaged, or larger than `config_bytes`.
    """
    limits = current_limits()
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(data, limits.config_bytes + 1)
    except zlib.error as error:
        raise damaged(shown, f"its document cannot be unpacked: {error}") from None
    limits.check("config_bytes", len(text), f"the document of {shown}", is_counted=len(text) <= limits.config_bytes)
    if not inflating.eof or inflating.unused_data:
        raise damaged(shown, "its document is cut off, or longer than it says")
    value = parse_json(text, f"the document of {shown}", hint=AGAIN)
    try:
        document = msgspec.convert(value, PatchDocument)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a character has no UTF-8
        raise damaged(shown, f"its document is not one of a patch: {error}") from None
    _check(document, shown)
    return document


def damaged(shown: str, what: str) -> ModelError:
    """Returns the error of a patch that cannot be used.

    Arguments:
        shown: the name of the patch.
        what: what is wrong with it.
    """
    return ModelError(f"{shown} is damaged: {what}", hint=AGAIN)


def _check(document: PatchDocument, shown: str) -> None:
    """Checks what a structural patch must have, and that names are within the limits."""
    limits = current_limits()
    layouts = [side.layout for side in (document.before, document.after)]
    if any((layout is not None) != document.is_structural for layout in layouts):
        raise damaged(shown, "it does not say how the models are laid out, whose structures differ")
    for side in (document.before, document.after):
        for path in (*side.tensors, *side.same_as, *side.same_as.values()):
            limits.check("path_characters", len(path), f"the path of a weight in {shown}")
    for layout in layouts:
        if layout is None:
            continue
        for dtype in (*(each.dtype for each in layout.tensors), *(each.dtype for each in layout.others.values())):
            if not _is_plain(dtype):
                raise damaged(shown, f"it has a weight of dtype {dtype[:20]!r}")
        for what, paths in (
            ("weight", [tensor.path for tensor in layout.tensors]),
            ("stored path", [*(tensor.stored for tensor in layout.tensors if tensor.stored), *layout.others]),
        ):
            if len(set(paths)) < len(paths):
                raise damaged(shown, f"it has a {what} twice")
            for path in paths:
                limits.check("path_characters", len(path), f"a {what} in {shown}")


def _is_plain(name: str) -> bool:
    """Tells whether a dtype is one of numbers, by the name that it has in a spec."""
    try:
        dtype = numpy_dtype(name)
    except ModelError:
        return False
    return dtype.name == name and not dtype.hasobject
