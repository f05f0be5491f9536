"""The provenance of a mutant: the plans that made it, from the newest back to the base, and the models they read.

It holds no dates, no paths and no names of machines, so that a rerun gives the same bytes. What a file says here is
data of whoever wrote the file: nothing in mutspec relies on it, except the commands that show and check it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mutspec.documents import Count, document_schema
from mutspec.errors import ModelError
from mutspec.language.plan import digest_of
from mutspec.model.config import parse_json

FORMAT_VERSION = 1
MOST_GENERATIONS = 64
"""The most mutations that a file lists. Of older ones it says how many there were."""
MOST_BYTES = 1 << 20
"""The size above which the oldest generations are left out."""


_MODEL_MAY_BE_WHOLE = "the model itself may be whole, and can be used; to get its provenance back, copy both again"


class ModelIdentity(Struct, frozen=True):
    """What a model is, whatever its file is called."""

    structure: Annotated[str, Meta(description="The digest of layers, their configurations, calls, and weights.")]
    digest: Annotated[str, Meta(description="The digest of the structure and of every bit of the weights.")]


class Versions(Struct, frozen=True):
    """The versions on which the bits of a mutant may depend."""

    mutspec: Annotated[str, Meta(description="The version of mutspec.")]
    language: Annotated[int, Meta(description="The version of the plan language.")]
    stream: Annotated[str, Meta(description="The version of the random streams.")]
    numpy: Annotated[str, Meta(description="The version of NumPy.")]
    keras: Annotated[
        str | UnsetType,
        Meta(description="The version of Keras, if it built the mutant or computed what steps rank by."),
    ] = UNSET


class PlanRecord(Struct, frozen=True):
    """A plan as it was applied."""

    name: Annotated[str, Meta(description="The plan's name.")]
    digest: Annotated[str, Meta(description="The digest of `document`.")]
    document: Annotated[
        dict[str, Any],
        Meta(description="The plan with all parameters, overrides and the seed put in: it can be applied as it is."),
    ]


class Generation(Struct, frozen=True, kw_only=True):
    """One mutation: a plan, applied to a model."""

    plan: Annotated[PlanRecord, Meta(description="The plan.")]
    parent: Annotated[ModelIdentity, Meta(description="The model that it was applied to.")]
    inputs: Annotated[
        dict[str, ModelIdentity], Meta(description="The other models that it read, by their names in the plan.")
    ] = {}
    data: Annotated[
        str | UnsetType, Meta(description="The digest of the arrays that the model was called on, if steps rank by it.")
    ] = UNSET
    kind: Annotated[str, Meta(description="The kind of file that was written, such as `.keras`.")]
    versions: Annotated[Versions, Meta(description="What applied it.")]

    @property
    def standalone(self) -> Mapping[str, Any]:
        """The plan as a document that states all that it needs, and no parameters: their values are in its steps."""
        document = dict(self.plan.document)
        version = document.pop("mutspec", self.versions.language)
        others = {key: value for key, value in document.items() if key not in ("name", "seed", "params")}
        return {"mutspec": version, "name": self.plan.name, "seed": self.seed, **others}

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return int(self.plan.document.get("seed", 0))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values of the plan's parameters."""
        return dict(self.plan.document.get("params") or {})

    @property
    def steps(self) -> tuple[Mapping[str, Any], ...]:
        """The plan's steps."""
        return tuple(self.plan.document["steps"])


class FileIdentity(Struct, frozen=True):
    """The bytes of a file."""

    bytes: Annotated[Count, Meta(description="How many there are.")]
    crc32: Annotated[Count, Meta(description="Their CRC-32.")]


class Provenance(Struct, frozen=True):
    """The mutations that made a model."""

    generations: Annotated[
        tuple[Generation, ...],
        Meta(min_length=1, description="The mutations, the newest first. Each made the `parent` of the one before it."),
    ]
    dropped: Annotated[Count, Meta(description="How many older mutations are left out.")] = 0
    file: Annotated[
        FileIdentity | UnsetType,
        Meta(description="The model's file, if the provenance lies beside it. What lies in a file is about that file."),
    ] = UNSET

    def before(self, newest: Generation) -> Provenance:
        """Returns the provenance of the model that one more mutation makes of this one."""
        return Provenance((newest, *self.generations), self.dropped)


def provenance_schema() -> dict[str, Any]:
    """Returns `schemas/provenance.schema.json`."""
    return document_schema(Provenance, "mutspec provenance", FORMAT_VERSION)


def written(provenance: Provenance, most_bytes: int = MOST_BYTES) -> bytes:
    """Returns a provenance as JSON in ASCII. The oldest generations are left out if there are too many bytes or items.

    The newest one always stays, so the result may be larger than `most_bytes`.
    """
    kept = [_compact(each) for each in provenance.generations[:MOST_GENERATIONS]]
    while True:
        dropped = provenance.dropped + len(provenance.generations) - len(kept)
        file = f',"file":{json.dumps(msgspec.to_builtins(provenance.file))}' if provenance.file else ""
        text = f'{{"format_version":{FORMAT_VERSION},"generations":[{",".join(kept)}],"dropped":{dropped}{file}}}'
        if len(text) <= most_bytes or len(kept) == 1:
            return text.encode("ascii")
        kept.pop()


def _compact(generation: Generation) -> str:
    # Infinite numbers of a plan are written as Python's JSON has them, so that they are numbers when they are read.
    return json.dumps(msgspec.to_builtins(generation), separators=(",", ":"), ensure_ascii=True)


def read(data: bytes, shown: str) -> Provenance:
    """Reads a provenance.

    Arguments:
        data: what `written` returned, or anything.
        shown: what to call it in errors.

    Raises:
        ModelError: it is not a provenance, above a limit, of a later format, or contradicts itself.
    """
    document = parse_json(data, shown, hint=_MODEL_MAY_BE_WHOLE)
    version = document.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise ModelError(
            f"{shown} has the format {version}, and this mutspec reads {FORMAT_VERSION}", hint="upgrade it"
        )
    if version != FORMAT_VERSION:
        raise _damaged(shown, "it states no format_version")
    try:
        provenance = msgspec.convert(document, Provenance)
    except msgspec.ValidationError as error:
        raise _damaged(shown, str(error)) from None
    for number, each in enumerate(provenance.generations, start=1):
        plan, which = each.plan, f"the plan of generation {number}"
        if digest_of(plan.document) != plan.digest:
            raise _damaged(shown, f"{which} is not the one whose digest it states")
        if not _has_form(plan.document):
            raise _damaged(shown, f"{which} is not a plan")
    return provenance


def _has_form(document: Mapping[str, Any]) -> bool:
    """Returns whether a plan has the few keys that are shown without loading it, in their types."""
    steps, seed, params = document.get("steps"), document.get("seed", 0), document.get("params", {})
    has_steps = isinstance(steps, list) and bool(steps) and all(isinstance(each, dict) for each in steps)
    return has_steps and type(seed) is int and isinstance(params, dict)


def _damaged(shown: str, reason: str) -> ModelError:
    return ModelError(f"{shown} is damaged: {reason}", hint=_MODEL_MAY_BE_WHOLE)
