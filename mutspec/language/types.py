"""The types of values in steps: selectors, amounts, values by target, percentages.

They are msgspec structs, so one definition gives parsing, the JSON schema and the reference documentation.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, Union, overload

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

T = TypeVar("T")


@overload
def or_default(value: T | UnsetType, default: None) -> T | None: ...
@overload
def or_default(value: T | UnsetType, default: T) -> T: ...
def or_default(value: Any, default: Any) -> Any:
    """Returns a value, or a default where the plan leaves it out; `value is UNSET` asks whether it does."""
    return default if value is UNSET else value


Positive = Annotated[int, Meta(ge=1)]
"""A number of things of which there is at least one."""


class PlanValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all structured values of a plan: frozen, with keyword arguments, strict about keys."""


@cache
def field_types(struct: Any) -> dict[str, tuple[str, Any]]:
    """Returns the fields of a struct type, by their names in a plan: attribute name and type."""
    return {info.encode_name: (info.name, info.type) for info in structs.fields(struct)}


class Section(IntEnum):
    """Where a key stands among those of its op, in schemas and manuals."""

    NAME = 0
    OP = 1
    TARGET = 2
    OWN = 3
    AMOUNT = 4
    COMMON = 5


OF_NAME, OF_TARGET, OF_AMOUNT, OF_COMMON = (
    Meta(extra={"section": section}) for section in (Section.NAME, Section.TARGET, Section.AMOUNT, Section.COMMON)
)
"""Marks of fields that many ops share, as in `Annotated[str, OF_NAME]`; a field without a mark is its op's own."""


OF_LAYER = Meta(extra={"is_layer": True})
"""The mark of a type whose values are layers, for which a block of the plan may stand."""


def section_of(annotation: Any) -> Section:
    """Returns the section of a field, by the mark in its annotation."""
    marks = (mark.extra for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Meta) and mark.extra)
    return next((mark["section"] for mark in marks if "section" in mark), Section.OWN)


END = r"$(?!\n)"
"""The end of a text in patterns. In Python, unlike in JSON schemas, `$` alone also matches before a final newline."""

BASE = "base"
"""The name that stands for the model as it was before the plan, where a step names an input model."""

Percent = Annotated[
    str,
    Meta(
        pattern=rf"^(100(\.0+)?|[0-9]{{1,2}}(\.[0-9]+)?)%{END}",
        description="A percentage such as `1%`.",
        examples=["1%", "12.5%"],
    ),
]
Share = Annotated[float, Meta(ge=0, le=1)] | Percent
"""A part of a whole: a number from 0 to 1, or a percentage."""


def exact_share(share: float | str) -> Fraction:
    """Returns the exact rational that was written: `0.1` is 1/10, not the nearest binary float; `1%` is 1/100."""
    if isinstance(share, str):
        return Fraction(share.strip().removesuffix("%")) / 100
    return Fraction(repr(share))


NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Patterns = str | tuple[str, ...]


class Pick(PlanValue, frozen=True):
    """Narrows a selection to some of its layers, in model order, after all other keys."""

    first: Annotated[Count | UnsetType, Meta(description="Keep the first n layers.")] = UNSET
    last: Annotated[Count | UnsetType, Meta(description="Keep the last n layers.")] = UNSET
    skip_first: Annotated[Count | UnsetType, Meta(description="Leave out the first n layers.")] = UNSET
    skip_last: Annotated[Count | UnsetType, Meta(description="Leave out the last n layers.")] = UNSET
    random: Annotated[Count | UnsetType, Meta(description="Keep n layers, drawn from the step's stream.")] = UNSET


class Expect(PlanValue, frozen=True):
    """A contract on the number of layers that a selector matches."""

    min: Annotated[Count, Meta(description="At least this many layers.")] = 0
    max: Annotated[Count | UnsetType, Meta(description="At most this many layers.")] = UNSET


class ArgumentRange(PlanValue, frozen=True):
    """A range of numbers, with its ends."""

    min: Annotated[float | UnsetType, Meta(description="At least this.")] = UNSET
    max: Annotated[float | UnsetType, Meta(description="At most this.")] = UNSET


_PlainValue = bool | int | float | str | None
ArgumentValue = _PlainValue | tuple[_PlainValue | tuple[Any, ...], ...] | ArgumentRange
"""What `where` may say about an argument: a value, the name of an object, several of them, or a range."""


class Selector(PlanValue, frozen=True):
    """Selects layers, and weights in them. All keys must match; of a list of values, one must."""

    name: Annotated[
        Patterns | UnsetType,
        Meta(
            description="A layer's own name at any depth, or a full path if it holds a `/`; exact or a glob.",
            examples=["dense_1", "conv*", "encoder/dense_1"],
        ),
    ] = UNSET
    regex: Annotated[
        Patterns | UnsetType,
        Meta(
            description="A regular expression (RE2) that matches the whole name, or the whole path if it holds a `/`.",
            examples=["conv[0-9]+_.*"],
        ),
    ] = UNSET
    type: Annotated[
        Patterns | UnsetType,
        Meta(description="A layer class, which includes its subclasses; exact or a glob.", examples=["Dense", "Conv*"]),
    ] = UNSET
    weights: Annotated[
        Patterns | UnsetType,
        Meta(
            description="A role (`kernel`, `bias`, `gamma`, …), a group (`kernels`, `biases`, `norms`, "
            "`embeddings`, `statistics`) or a glob over roles. Default: all learned weights.",
            examples=["kernel", "kernels"],
        ),
    ] = UNSET
    where: Annotated[
        dict[str, ArgumentValue] | UnsetType,
        Meta(
            description="Arguments of the layer, each with a value, a list of values of which one must be it, or "
            "`{min, max}`. An object such as a regularizer is compared by its name. What the layer leaves out has "
            "Keras's default.",
            examples=[{"activation": "relu"}, {"kernel_size": 3, "filters": {"min": 64}}],
        ),
    ] = UNSET
    followed_by: Annotated[
        Target | UnsetType,
        Meta(description="Layers whose output goes straight into one of these.", examples=[{"type": "ReLU"}]),
    ] = UNSET
    preceded_by: Annotated[
        Target | UnsetType,
        Meta(description="Layers whose input comes straight from one of these.", examples=[{"type": "Conv2D"}]),
    ] = UNSET
    downstream_of: Annotated[
        Target | UnsetType,
        Meta(description="Layers that the output of one of these reaches, without these.", examples=["block_3"]),
    ] = UNSET
    upstream_of: Annotated[
        Target | UnsetType,
        Meta(description="Layers whose output reaches one of these, without these.", examples=["head"]),
    ] = UNSET
    between: Annotated[
        tuple[Target, Target] | UnsetType,
        Meta(
            description="Layers on a path from the first target to the second, both included.",
            examples=[["block_1", "block_3"]],
        ),
    ] = UNSET
    any: Annotated[
        tuple[Target, ...] | UnsetType, Meta(description="Selects what at least one of these selectors matches.")
    ] = UNSET
    all: Annotated[tuple[Target, ...] | UnsetType, Meta(description="Selects what all of these selectors match.")] = (
        UNSET
    )
    not_: Annotated[Target | UnsetType, Meta(description="Selects everything but what this selector matches.")] = field(
        default=UNSET, name="not"
    )
    pick: Annotated[
        Pick | UnsetType, Meta(description="Keeps some of the layers that match, after all other keys.")
    ] = UNSET
    expect: Annotated[
        Count | Expect | UnsetType,
        Meta(description="A contract on the number of layers that match.", examples=[3, {"min": 1}]),
    ] = UNSET


PLACES = ("followed_by", "preceded_by", "downstream_of", "upstream_of", "between")
"""The keys of a selector that go by the place of a layer in the graph."""

Target = str | Selector | tuple[str | Selector, ...]
"""A name or path (`dense_1`, `encoder/dense_1`, `dense_1/kernel`), `re:` and a regex, a selector, or a list of them."""


class Case(PlanValue, Generic[T], frozen=True):
    """One entry of a list of values by target. The first entry that matches a weight wins."""

    value: T
    target: Annotated[Target | UnsetType, Meta(description="The weights that this value is for. Default: all.")] = UNSET


ByTarget = Union[T, tuple[Case[T], ...]]  # noqa: UP007 (mypy takes no other form)
"""One value for all targets, or a list of values by target."""


class Per(StrEnum):
    """The scope in which an amount is counted."""

    TENSOR = "tensor"
    LAYER = "layer"
    ALL = "all"


class Unit(StrEnum):
    """The things that an amount counts."""

    ENTRY = "entry"
    ROW = "row"
    COLUMN = "column"
    BLOCK = "block"
    NEURON = "neuron"


class Rank(StrEnum):
    """The units that are changed, instead of random ones."""

    SMALLEST = "smallest"
    LARGEST = "largest"


class Scale(StrEnum):
    """The unit in which the size of noise is given."""

    ABSOLUTE = "absolute"
    STD = "std"
    WEIGHT = "weight"
    MAX_ABS = "max_abs"
    CHANNEL_MAX = "channel_max"


class NonFinite(StrEnum):
    """The reaction to a finite entry that becomes infinite or NaN."""

    ERROR = "error"
    REPORT = "report"
