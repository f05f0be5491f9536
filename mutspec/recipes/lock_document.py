"""The lock of a plan on a model, as a document: what the plan says, what it is applied to, and what it makes of it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from mutspec.documents import Count, Number, document_schema

LOCK_VERSION = 1
"""The version of the format of locks."""

RELATIVE_L2 = 1e-5
"""The tolerance of values that depend on numeric primitives, unless a lock states another one."""

_NOT_WRITTEN = re.compile("[%\x00-\x1f\x7f-\x9f\xad\u2028\u2029\ufeff\ufff9-\uffff\ud800-\udfff]|\\$(?=\\{)|^<(?=<$)")


def written_name(name: str) -> str:
    """Returns a name of a model as a lock has it.

    The keys of a document have no control characters and no `${`, and `<<` is not a name. These are written as in
    addresses, `%24{`, so that different names stay different.
    """
    return _NOT_WRITTEN.sub(lambda found: _percent(found[0]), name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


class LockPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a lock."""


_Names = dict[str, str]
_PORTS = "A digest of the inputs and outputs, and of which weights are shared."


class LockedPlan(LockPart, frozen=True, kw_only=True):
    """The plan, its parameters and its seed."""

    file: Annotated[str, Meta(description="The plan's file, relative to the lock; or the name of a shipped recipe.")]
    digest: Annotated[str, Meta(description="The digest of the resolved plan, as in reports.")]
    stream: Annotated[str, Meta(description="The version of the random streams.")]
    seed: Annotated[Count, Meta(description="The seed.")]
    non_finite: Annotated[str | UnsetType, Meta(description="The plan's `non_finite`, if it states one.")] = UNSET
    overrides: Annotated[
        tuple[str, ...], Meta(description="The overrides of the call: `--set`, and `--seed` as `seed=…`.")
    ] = ()
    params: Annotated[dict[str, Any], Meta(description="The resolved value of each parameter.")] = field(
        default_factory=dict
    )
    files: Annotated[
        _Names, Meta(description="The digest of each other recipe that the plan uses, by its file or its name.")
    ] = field(default_factory=dict)


class LockedModel(LockPart, frozen=True, kw_only=True):
    """A model, by what it is and not by its name."""

    file: Annotated[
        str,
        Meta(description="Where it was, relative to the lock. If it is not there, it is found by its fingerprint."),
    ]
    architecture: Annotated[
        str | UnsetType, Meta(description="The file with the architecture, if the model's file holds weights alone.")
    ] = UNSET
    structure: Annotated[str, Meta(description="The digest of layers, configurations, calls, and weights.")]
    layers: Annotated[
        _Names,
        Meta(description="The class of each layer, with a digest of its calls and what its configuration means."),
    ]
    ports: Annotated[str, Meta(description=_PORTS)]
    tensors: Annotated[_Names, Meta(description="The dtype and shape of each weight, with a digest of its bytes.")]


class LockedData(LockPart, frozen=True, kw_only=True):
    """The data on which the plan measures activations."""

    file: Annotated[str, Meta(description="Where they were, relative to the lock.")]
    digest: Annotated[str, Meta(description="The digest of the arrays.")]


class LockedVersions(LockPart, frozen=True, kw_only=True):
    """The versions of what made the result."""

    mutspec: Annotated[str, Meta(description="The version of mutspec.")]
    language: Annotated[int, Meta(description="The version of the plan language.")]
    numpy: Annotated[str, Meta(description="The version of NumPy.")]
    keras: Annotated[str | UnsetType, Meta(description="The version of Keras, if it took part.")] = UNSET


class LockedStep(LockPart, frozen=True, kw_only=True):
    """A step, and what it does."""

    id: Annotated[str, Meta(description="The step's id.")]
    op: Annotated[str, Meta(description="The step's op.")]
    keys: Annotated[dict[str, Any], Meta(description="Its other keys, resolved.")] = field(default_factory=dict)
    layers: Annotated[tuple[str, ...], Meta(description="What it does to layers.")] = ()
    targets: Annotated[
        dict[str, Count], Meta(description="How many entries of each weight it chooses; in the order of the model.")
    ] = field(default_factory=dict)


class LockedSketch(LockPart, frozen=True, kw_only=True):
    """A few numbers by which the distance of a weight with numeric values from another one is estimated."""

    l2: Annotated[Number, Meta(description="The norm of the finite entries.")]
    non_finite: Annotated[Count, Meta(description="How many entries are infinite or NaN.")]
    projections: Annotated[
        tuple[Number, ...],
        Meta(description="The sums of the finite entries with random signs, which are always the same."),
    ]


class LockedTolerance(LockPart, frozen=True, kw_only=True):
    """How far numeric values may be from those of the lock."""

    relative_l2: Annotated[
        Number, Meta(description="The norm of the difference, divided by that of the lock's values: 0 or more.")
    ]

    def __post_init__(self) -> None:
        if not 0 <= self.relative_l2 < math.inf:
            raise ValueError(f"a tolerance is a finite number of 0 or more, not {self.relative_l2:g}")


class LockedResult(LockPart, frozen=True, kw_only=True):
    """What the plan makes of the model."""

    structure: Annotated[str, Meta(description="The digest of layers, configurations, calls, and weights.")]
    layers: Annotated[
        _Names | UnsetType, Meta(description="As those of the model; left out if the plan changes weights alone.")
    ] = UNSET
    ports: Annotated[str | UnsetType, Meta(description=f"{_PORTS} Left out if it is that of the model.")] = UNSET
    tensors: Annotated[_Names, Meta(description="The dtype and shape of each weight, with a digest of its bytes.")]
    numeric: Annotated[
        dict[str, LockedSketch],
        Meta(description="The weights whose values depend on numeric primitives, which are compared by the tolerance."),
    ] = field(default_factory=dict)
    tolerance: Annotated[
        LockedTolerance | UnsetType, Meta(description="How far these values may be from those of the lock.")
    ] = UNSET


class Lock(LockPart, frozen=True, kw_only=True):
    """What a plan does to a model: the plan, the models, the versions, the steps, and the result, by digests."""

    plan: LockedPlan
    model: LockedModel
    inputs: Annotated[dict[str, LockedModel], Meta(description="The models of the plan's inputs, by name.")] = field(
        default_factory=dict
    )
    data: LockedData | UnsetType = UNSET
    versions: LockedVersions
    steps: Annotated[tuple[LockedStep, ...], Meta(description="The steps, in order.")]
    result: LockedResult


def lock_schema() -> dict[str, Any]:
    """Returns `schemas/lock.schema.json`."""
    return document_schema(Lock, "mutspec lock", LOCK_VERSION, version_key="lock", has_defaults=False)
