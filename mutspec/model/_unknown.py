"""What a target leaves out because nobody says what it is: weights whose role is not known, layers without a class."""

from __future__ import annotations

from collections.abc import Iterator

from mutspec.errors import DocumentPath
from mutspec.keras_facts.classes import KNOWN_CLASSES, KNOWN_ROLES
from mutspec.keras_facts.roles import Group
from mutspec.language.types import Patterns, Selector, Target, or_default
from mutspec.model._evaluate import Chosen, TargetEvaluation, TensorEvaluation, counted, shown
from mutspec.model._index import Claim, ModelIndex, members, patterns
from mutspec.model._patterns import has_wildcards
from mutspec.model.spec import ModelSpec, TensorSpec

_OWNERS_SHOWN = 3


class GenerousIndex(ModelIndex):
    """An index in which weights without a known role fit every role, and layers without a known class every class.

    Arguments:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Find out what is not known."""
        super().__init__(spec)
        self.unknown = sum(1 << number for number, tensor in enumerate(spec.tensors) if not tensor.has_role)
        self._classless = sum(
            1 << number for number, layer in enumerate(spec.layers) if layer.is_inner and not layer.class_name
        )

    def weights(self, value: Patterns) -> int:
        """The tensors of a role or group, and those of which neither is known."""
        return super().weights(value) | (self.unknown if any(map(_is_role, patterns(value))) else 0)

    def _fits(self, kind: str, pattern: str) -> Claim:
        claim = super()._fits(kind, pattern)
        if kind != "type" or not _is_class(pattern):
            return claim
        layers = claim.layers | self._classless
        return Claim(layers, self.below(layers))


def left_out(
    index: GenerousIndex | None,
    plain: TensorEvaluation,
    target: Target,
    chosen: int,
    default: int,
    has_default_roles: bool,
) -> list[str]:
    """A note on the weights that a target would choose if they were what it asks for; none if there are none.

    Arguments:
        index: the generous index of the model; None if all is known.
        plain: what the target was evaluated with.
        target: the target.
        chosen: what it chooses.
        default: the weights that it chooses where it does not say.
        has_default_roles: whether the default itself goes by roles.
    """
    asked = list(_asked(target))
    if index is None or not (asked or has_default_roles):
        return []
    weights = default | (index.unknown if has_default_roles else 0)
    reached = _Generous(index, plain, weights).target(target, (), weights).decided(weights)
    missed = list(members(index.spec.tensors, reached & index.unknown & ~chosen))
    return [_note(index.spec, missed, asked)] if missed else []


class _Generous(TensorEvaluation):
    """Evaluates a target as if what is not known were what it asks for; what it excludes, it excludes as it is."""

    def __init__(self, index: ModelIndex, plain: TensorEvaluation, default: int) -> None:
        super().__init__(index, plain.random, default)
        self._plain = plain

    def excluded(self, target: Target, path: DocumentPath, weights: int) -> Chosen:
        return TargetEvaluation.target(self._plain, target, path, weights)

    def picked(self, chosen: Chosen, selector: Selector, path: DocumentPath, weights: int) -> Chosen:
        return chosen


def _is_role(pattern: str) -> bool:
    if has_wildcards(pattern):
        return not pattern.startswith("var")
    return pattern in KNOWN_ROLES and pattern != Group.OTHER


def _is_class(pattern: str) -> bool:
    return has_wildcards(pattern) or pattern in KNOWN_CLASSES


def _asked(target: Target) -> Iterator[str]:
    """The roles and classes that a target asks for, as it writes them."""
    if isinstance(target, str):
        return
    if not isinstance(target, Selector):
        for member in target:
            yield from _asked(member)
        return
    yield from (f"`{pattern}`" for pattern in patterns(target.weights) if _is_role(pattern))
    yield from (f"`type: {pattern}`" for pattern in patterns(target.type) if _is_class(pattern))
    for part in (target.any, target.all):
        for each in or_default(part, ()):
            yield from _asked(each)


def _note(spec: ModelSpec, missed: list[TensorSpec], asked: list[str]) -> str:
    entries, weights = sum(tensor.size for tensor in missed), counted(len(missed), "weight")
    owners = list(dict.fromkeys(_owner(spec, tensor) for tensor in missed))
    has = "has" if entries == 1 else "have"
    numbers = f"{entries:,} {'entry' if entries == 1 else 'entries'} in {weights}"
    by = " and ".join(list(dict.fromkeys(asked))[:_OWNERS_SHOWN]) or "the step"
    do = "do" if " and " in by else "does"
    them = "it" if entries == 1 else "them"
    return (
        f"{numbers} of {shown(owners, _OWNERS_SHOWN)} {has} no known role; {by} {do} not select {them}: "
        f"{_way_on(spec, missed)}"
    )


def _owner(spec: ModelSpec, tensor: TensorSpec) -> str:
    """The layer that the model's config tells of and that holds a weight, or else the one that owns it."""
    parts = tensor.layer.split("/")
    holders = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
    layers = (spec.layer_by_path.get(holder) for holder in holders)
    return next((layer.path for layer in layers if layer is not None and not layer.is_inner), tensor.layer)


def _way_on(spec: ModelSpec, missed: list[TensorSpec]) -> str:
    by_path = f"name them by path, such as `{missed[0].path}`"
    layers = (spec.layer_by_path.get(tensor.layer) for tensor in missed)
    if spec.knows_classes or not any(layer is not None and layer.is_inner and not layer.class_name for layer in layers):
        return by_path
    imported = "import the module that registers their class with Keras (`--import my_layers`)"
    return f"give an --architecture and {imported}, or {by_path}" if spec.is_partial else f"{imported}, or {by_path}"
