"""The fingerprint of a model: digests by which locks, patches and lineages know it, whatever its file is called."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated

from msgspec import Meta, Struct

from mutspec.access.digests import DIGITS, tensor_digests
from mutspec.access.read import Readable
from mutspec.language.plan import digest_of


class Fingerprint(Struct, frozen=True):
    """Identifies a model by a digest of its structure and a digest of each tensor.

    A file, the live model loaded from it, and the model saved again, under any name and in any format that keeps its
    configuration, have the same one.
    """

    structure: Annotated[str, Meta(description="The digest of layers, their configurations, calls, and weights.")]
    tensors: Annotated[
        dict[str, str],
        Meta(description="Of each weight, by its path: its dtype, its shape, and a digest of its bytes."),
    ]

    @property
    def digest(self) -> str:
        """One digest of all: two models have the same one if they have the same structure and the same bits."""
        return digest_of({"structure": self.structure, "tensors": self.tensors})


def fingerprint(model: Readable) -> Fingerprint:
    """Returns the fingerprint of a model. It costs one read of the weights, by all threads, and memory for few blocks.

    Arguments:
        model: a model file, or a live model that was read.

    Raises:
        ModelError: the values cannot be read.
    """
    return Fingerprint(model.spec.structure_digest, fingerprints_of_tensors(model))


def fingerprints_of_tensors(model: Readable, paths: Container[str] | None = None) -> dict[str, str]:
    """Returns the part of a fingerprint that is about weights, by path, in the model's order.

    Arguments:
        model: as for `fingerprint`.
        paths: the weights to read; by default all.
    """
    return {
        tensor.path: f"{tensor.dtype} {'×'.join(map(str, tensor.shape)) or 'scalar'} {digest[:DIGITS]}"
        for tensor, digest in tensor_digests(model, paths)
    }
