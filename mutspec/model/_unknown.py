"""Notes on weights that a target leaves out because their role, or the class of their layer, is not known."""

from __future__ import annotations

from collections.abc import Iterator

from mutspec.errors import DocumentPath
from mutspec.keras_facts.classes import KNOWN_CLASSES, KNOWN_ROLES
from mutspec.keras_facts.roles import Group
from mutspec.language.types import Patterns, Selector, Target, or_default
from mutspec.model._bits import members
from mutspec.model._evaluate import Chosen, TargetEvaluation, TensorEvaluation
from mutspec.model._index import Claim, ModelIndex, patterns
from mutspec.model._patterns import has_wildcards
from mutspec.model._places import Located
from mutspec.model.spec import ModelSpec, TensorSpec
from mutspec.text.words import listed, plural

_OWNERS_SHOWN = 3


class GenerousIndex(ModelIndex):
    """An index in which weights without a known role have every role, and layers without a known class every class.

    Arguments:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.unknown = sum(1 << number for number, tensor in enumerate(spec.tensors) if not tensor.has_role)
        self._classless = sum(
            1 << number for number, layer in enumerate(spec.layers) if layer.is_inner and not layer.class_name
        )

    def weights(self, value: Patterns) -> int:
        """Returns the tensors of a role or group, and those whose role is not known."""
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
    """Returns a note on the unknown weights that a target would select if they had the roles that it names.

    Arguments:
        index: the generous index of the model; None if every role is known.
        plain: the evaluation of the target.
        target: the target.
        chosen: the weights that it selects.
        default: the weights that it selects where it does not name any.
        has_default_roles: whether the default depends on roles.

    Returns:
        One note, or none.
    """
    wanted = list(_roles_and_classes(target))
    if index is None or not (wanted or has_default_roles):
        return []
    weights = default | (index.unknown if has_default_roles else 0)
    reached = _Generous(index, plain, weights).target(target, (), weights).decided(weights)
    missed = list(members(index.spec.tensors, reached & index.unknown & ~chosen))
    return [_note(index.spec, missed, wanted)] if missed else []


class _Generous(TensorEvaluation):
    """Evaluates a target as if unknown weights had the roles that it names. `not` excludes only known ones."""

    def __init__(self, index: ModelIndex, plain: TensorEvaluation, default: int) -> None:
        super().__init__(index, plain.random, default)
        self._plain = plain

    def excluded(self, target: Target, path: DocumentPath, weights: int) -> Chosen:
        return TargetEvaluation.target(self._plain, target, path, weights)

    def place(self, selector: Selector) -> Located | None:
        return self._plain.place(selector)

    def picked(self, chosen: Chosen, selector: Selector, path: DocumentPath, weights: int) -> Chosen:
        return chosen


def _is_role(pattern: str) -> bool:
    if has_wildcards(pattern):
        return not pattern.startswith("var")
    return pattern in KNOWN_ROLES and pattern != Group.OTHER


def _is_class(pattern: str) -> bool:
    return has_wildcards(pattern) or pattern in KNOWN_CLASSES


def _roles_and_classes(target: Target) -> Iterator[str]:
    """Yields the roles and classes that a target names, as in a plan."""
    if isinstance(target, str):
        return
    if not isinstance(target, Selector):
        for member in target:
            yield from _roles_and_classes(member)
        return
    yield from (f"`{pattern}`" for pattern in patterns(target.weights) if _is_role(pattern))
    yield from (f"`type: {pattern}`" for pattern in patterns(target.type) if _is_class(pattern))
    for part in (target.any, target.all):
        for each in or_default(part, ()):
            yield from _roles_and_classes(each)


def _note(spec: ModelSpec, missed: list[TensorSpec], wanted: list[str]) -> str:
    entries, weights = sum(tensor.size for tensor in missed), plural(len(missed), "weight")
    owners = list(dict.fromkeys(_owner(spec, tensor) for tensor in missed))
    has = "has" if entries == 1 else "have"
    numbers = f"{entries:,} {'entry' if entries == 1 else 'entries'} in {weights}"
    by = " and ".join(list(dict.fromkeys(wanted))[:_OWNERS_SHOWN]) or "the step"
    do = "do" if " and " in by else "does"
    them = "it" if entries == 1 else "them"
    return (
        f"{numbers} of {listed(owners, _OWNERS_SHOWN)} {has} no known role; {by} {do} not select {them}: "
        f"{_remedy(spec, missed)}"
    )


def _owner(spec: ModelSpec, tensor: TensorSpec) -> str:
    """Returns the innermost layer around a weight that is in the model's config, or else the weight's own layer."""
    parts = tensor.layer.split("/")
    holders = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
    layers = (spec.layer_by_path.get(holder) for holder in holders)
    return next((layer.path for layer in layers if layer is not None and not layer.is_inner), tensor.layer)


def _remedy(spec: ModelSpec, missed: list[TensorSpec]) -> str:
    by_path = f"name them by path, such as `{missed[0].path}`"
    layers = (spec.layer_by_path.get(tensor.layer) for tensor in missed)
    if spec.knows_classes or not any(layer is not None and layer.is_inner and not layer.class_name for layer in layers):
        return by_path
    imported = "import the module that registers their class with Keras (`--import my_layers`)"
    return f"give an --architecture and {imported}, or {by_path}" if spec.is_partial else f"{imported}, or {by_path}"
