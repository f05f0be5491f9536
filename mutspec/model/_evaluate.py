"""Evaluates a target as a set of tensors or of layers, for `mutspec.model.select`.

Sets are integers whose bits stand for tensors or layers, so that union, intersection and complement of thousands of
tensors are single operations. `mutspec.model.select` explains the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from mutspec.errors import DocumentPath, PlanError, Problem, nearest
from mutspec.keras_facts.classes import KNOWN_CLASSES, KNOWN_ROLES
from mutspec.language.types import Expect, Pick, Selector, Target, or_default
from mutspec.model._bits import members
from mutspec.model._index import Claim, ModelIndex, patterns
from mutspec.model._patterns import has_wildcards
from mutspec.model._places import Located, Places
from mutspec.text.words import listed, plural

RandomIndices = Callable[[int, int], Sequence[int]]
"""Returns `count` distinct indices below a total, for a total and a count."""

REGEX_PREFIX = "re:"
LAYERS_SHOWN = 5


class ContractUnmet(PlanError):
    """`expect` does not hold because nothing matches. The caller adds the reason why nothing matches."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A partial result, as bits of tensors; or of layers, which are all undecided.

    The two kinds of tensors are needed because a claim about layers, such as `type: Dense`, does not yet say which of
    their weights are meant. In `{all: [{type: Dense}, {weights: bias}]}` the weights of the first part are undecided,
    and the second part narrows them to the biases. What is undecided at the end is narrowed to the default weights.

    Arguments:
        named: tensors that were selected as weights, by role or by path.
        undecided: tensors of selected layers, of any role, which an intersection may still narrow.
        matched: the layers that match a claim about layers.
    """

    named: int = 0
    undecided: int = 0
    matched: int = 0

    @property
    def all(self) -> int:
        """All tensors that may still be selected."""
        return self.named | self.undecided

    def decided(self, weights: int) -> int:
        """Returns the selected tensors if the undecided ones are narrowed to these weights."""
        return self.named | self.undecided & weights

    def within(self, mask: int) -> Chosen:
        """Returns the part that is in a set."""
        return replace(self, named=self.named & mask, undecided=self.undecided & mask)

    def __and__(self, other: Chosen) -> Chosen:
        # A tensor in both parts counts as named if one of them names it: naming a weight decides about it.
        named = self.named & other.all | self.undecided & other.named
        return Chosen(named, self.undecided & other.undecided, self.matched | other.matched)

    def __or__(self, other: Chosen) -> Chosen:
        return Chosen(self.named | other.named, self.undecided | other.undecided, self.matched | other.matched)


MOST_EXPLAINED = 100
"""The most unknown names of a target that notes are made for, because similar names are searched for each."""


class TargetEvaluation:
    """Evaluates one target. Subclasses define whether the set is one of tensors or of layers."""

    everything: int
    """All tensors or layers of the model."""

    def __init__(self, index: ModelIndex, random: RandomIndices | None) -> None:
        self.index = index
        self.random = random
        self.checks_contracts = True
        self.unknown: list[str] = []

    def target(self, target: Target, path: DocumentPath, weights: int) -> Chosen:
        """Evaluates a target.

        Arguments:
            target: a name or path, a regex, a selector, or a list of them.
            path: its path below the whole target.
            weights: the tensors that undecided ones will be narrowed to, as far as the enclosing selectors say so.
        """
        if isinstance(target, Selector):
            return self.selector(target, path, weights)
        if isinstance(target, str):
            return self._string(target, path)
        return self.union(target, path, weights)

    def union(self, targets: tuple[Target, ...], path: DocumentPath, weights: int) -> Chosen:
        """Evaluates the union of targets."""
        chosen = Chosen()
        for number, member in enumerate(targets):
            chosen |= self.target(member, (*path, number), weights)
        return chosen

    def _string(self, target: str, path: DocumentPath) -> Chosen:
        selector = as_selector(target)
        self._collect_unknown(selector)
        try:
            return self.keys(selector)
        except PlanError as error:  # its path is below a selector's key, which a string does not have
            raise PlanError(replace(problem, path=path) for problem in error.problems) from None

    def selector(self, selector: Selector, path: DocumentPath, weights: int) -> Chosen:
        """Evaluates a selector."""
        try:
            chosen = self.keys(selector)
        except PlanError as error:
            raise type(error)(problem.below(*path) for problem in error.problems) from None
        self._collect_unknown(selector)
        if selector.weights is not UNSET:
            weights = self.index.weights(selector.weights)
        if selector.any is not UNSET:
            chosen &= self.union(selector.any, (*path, "any"), weights)
        if selector.all is not UNSET:
            for number, member in enumerate(selector.all):
                chosen &= self.target(member, (*path, "all", number), weights)
        if selector.not_ is not UNSET:
            excluded = self.excluded(selector.not_, (*path, "not"), weights)
            chosen &= Chosen(undecided=self.everything & ~excluded.all)
        if selector.pick is not UNSET or selector.expect is not UNSET:
            chosen = self.picked(chosen, selector, path, weights)
        return chosen

    def excluded(self, target: Target, path: DocumentPath, weights: int) -> Chosen:
        """Evaluates a target under `not`."""
        return self.target(target, path, weights)

    def claim(self, selector: Selector) -> Claim | None:
        """Returns the matches of all claims of a selector about layers; None if it makes none."""
        claim = self.index.claim(selector.name, selector.regex, selector.type)
        if selector.where is not UNSET:
            if self.index.spec.is_partial:
                raise PlanError(_not_in_weights("where", "the arguments of layers"))
            having = self.index.having(selector.where)
            claim = having if claim is None else self.index.both(claim, having)
        place = self.place(selector)
        return claim if place is None else self.index.placed(claim, place)

    def place(self, selector: Selector) -> Located | None:
        """Returns the layers at the places that a selector claims; None if it claims none."""
        found: Located | None = None
        for key, find in _PLACES.items():
            target = getattr(selector, key)
            if target is not UNSET:
                place = find(self.index.places, self._located(target, (key,)))
                found = place if found is None else found & place
        if selector.between is not UNSET:
            place = self._between(selector.between)
            found = place if found is None else found & place
        return found

    def _between(self, ends: tuple[Target, Target]) -> Located:
        first, last = (self._located(end, ("between", number)) for number, end in enumerate(ends))
        place = self.index.places.between(first, last)
        if first and last and not place.layers and self.index.places.between(last, first).layers:
            layers = self.index.spec.layers
            names = [listed([layer.path for layer in members(layers, end)], 2) for end in (last, first)]
            hint = "exchange the two: the first is where the data comes from"
            raise PlanError(f"{names[0]} comes before {names[1]}", path=("between",), hint=hint)
        return place

    def _located(self, target: Target, path: DocumentPath) -> int:
        """Returns the layers that a target selects by whose places others are found."""
        key = str(path[0])
        if self.index.spec.is_partial:
            raise PlanError(_not_in_weights(key, "the graph of layers"))
        layers = self.layers().target(target, path, 0).all
        if layers and not self.index.places.has_any(layers):
            name = next(members(self.index.spec.layers, layers)).path
            message = f"`{name}` is called by code, so nothing is known of what comes before and after it"
            raise PlanError(message, path=path, hint=f"`{key}` needs a layer of a Functional or Sequential model")
        return layers

    def layers(self) -> LayerEvaluation:
        """Returns the evaluation of targets as sets of layers, with the same notes and contracts."""
        evaluation = LayerEvaluation(self.index, self.random)
        evaluation.checks_contracts, evaluation.unknown = self.checks_contracts, self.unknown
        return evaluation

    def keys(self, selector: Selector) -> Chosen:
        """Evaluates the claims of a selector about layers and weights together. Without claims it is everything."""
        raise NotImplementedError

    def parts(self, chosen: Chosen, weights: int) -> dict[int, int]:
        """Returns the part of the set that belongs to each layer that `pick` and `expect` count."""
        raise NotImplementedError

    def picked(self, chosen: Chosen, selector: Selector, path: DocumentPath, weights: int) -> Chosen:
        """Applies `pick` to a set, and checks `expect`."""
        parts = self.parts(chosen, weights)
        layers = sorted(parts)
        if selector.pick is not UNSET:
            if self.index.spec.is_partial and any(getattr(selector.pick, key) is not UNSET for key in _ORDERED_PICKS):
                raise PlanError(_no_order(path))
            layers = _pick(layers, selector.pick, self.random, path)
            kept = 0
            for layer in layers:
                kept |= parts[layer]
            chosen = chosen.within(kept)
        if selector.expect is not UNSET and self.checks_contracts:
            check_contract(selector.expect, [self.index.spec.layers[layer].path for layer in layers], path)
        return chosen

    def notes(self) -> list[str]:
        """Returns a note for each unknown exact name, class and role. Among others that match it is easily missed."""
        return list(dict.fromkeys(self.unknown))

    def _collect_unknown(self, selector: Selector) -> None:
        index = self.index
        for pattern in patterns(selector.name):
            if not has_wildcards(pattern) and not index.fits("name", pattern, ()):
                subject = "no layer or weight has the path" if "/" in pattern else "no layer is called"
                self._note(f"{subject} `{pattern}`", pattern, index.layer_names.names)
        for pattern in patterns(selector.type):
            if not has_wildcards(pattern) and not index.fits("type", pattern, ()) and pattern not in KNOWN_CLASSES:
                self._note(f"no layer is of type `{pattern}`", pattern, (*index.classes.names, *KNOWN_CLASSES))
        for pattern in patterns(selector.weights):
            if not has_wildcards(pattern) and not index.weights(pattern) and pattern not in KNOWN_ROLES:
                self._note(f"no weight has the role `{pattern}`", pattern, (*index.roles.names, *KNOWN_ROLES))
        for argument, value in or_default(selector.where, {}).items():
            if not index.arguments.is_known(argument):
                self._note(f"no layer has an argument `{argument}`", argument, index.arguments.names())
            for name in index.arguments.unknown_names(argument, value):
                self._note(f"no layer has `{argument}: {name}`", name, index.arguments.nearest_name(argument, name))

    def _note(self, message: str, pattern: str, candidates: Iterable[str]) -> None:
        if len(self.unknown) >= MOST_EXPLAINED:
            return
        self.unknown.append(
            message + "".join(f"; did you mean `{close}`?" for close in nearest(pattern, candidates, 1))
        )


class TensorEvaluation(TargetEvaluation):
    """Evaluates a target as a set of tensors."""

    def __init__(self, index: ModelIndex, random: RandomIndices | None, default: int) -> None:
        super().__init__(index, random)
        self.everything = index.all_tensors
        self.default = default

    def keys(self, selector: Selector) -> Chosen:
        """Returns the tensors of the layers, undecided unless a path or `weights` names them."""
        claim = self.claim(selector)
        if claim is None:
            chosen = Chosen(undecided=self.everything)
        else:
            chosen = Chosen(claim.named, claim.below | claim.loose, claim.layers)
        return chosen if selector.weights is UNSET else chosen & Chosen(self.index.weights(selector.weights))

    def parts(self, chosen: Chosen, weights: int) -> dict[int, int]:
        """Returns the selected tensors of each layer that matches a claim, or else that owns them."""
        owned, found = self.index.owned, dict[int, int]()
        for owner in self.index.owners(chosen.decided(weights)):
            layer = self.index.innermost(owner, chosen.matched)
            found[layer] = found.get(layer, 0) | owned[owner]
        return found


class LayerEvaluation(TargetEvaluation):
    """Evaluates a target as a set of layers."""

    def __init__(self, index: ModelIndex, random: RandomIndices | None) -> None:
        super().__init__(index, random)
        self.everything = index.all_layers
        self._is_excluding = False

    def excluded(self, target: Target, path: DocumentPath, weights: int) -> Chosen:
        """Evaluates a target under `not`, which excludes a layer at a place with all that is inside it."""
        self._is_excluding = not self._is_excluding
        try:
            return self.target(target, path, weights)
        finally:
            self._is_excluding = not self._is_excluding

    def place(self, selector: Selector) -> Located | None:
        """Returns the layers at the places that a selector claims; None if it claims none."""
        place = super().place(selector)
        return Located(place.within, place.within) if place is not None and self._is_excluding else place

    def keys(self, selector: Selector) -> Chosen:
        """Returns the layers that match the claims and hold such weights."""
        claim = self.claim(selector)
        layers = self.everything if claim is None else claim.layers
        if selector.weights is not UNSET:
            weights = self.index.weights(selector.weights)
            owners = sum(1 << number for number in self.index.owners(weights))
            layers &= owners if claim is None else self.index.holders(weights)
        return Chosen(undecided=layers)

    def parts(self, chosen: Chosen, weights: int) -> dict[int, int]:
        """Returns each layer as a part of its own."""
        return {number: 1 << number for number in members(range(len(self.index.spec.layers)), chosen.all)}


def as_selector(target: str) -> Selector:
    """Returns the selector for a plain string."""
    if target.startswith(REGEX_PREFIX):
        return Selector(regex=target.removeprefix(REGEX_PREFIX))
    return Selector(name=target)


_PLACES: Mapping[str, Callable[[Places, int], Located]] = {
    "followed_by": lambda places, layers: places.neighbours(layers, before=True),
    "preceded_by": lambda places, layers: places.neighbours(layers, before=False),
    "downstream_of": lambda places, layers: places.reachable(layers, before=False),
    "upstream_of": lambda places, layers: places.reachable(layers, before=True),
}
"""The keys of a selector that go by places relative to one target."""


_ORDERED_PICKS = ("first", "last", "skip_first", "skip_last")


def _not_in_weights(key: str, what: str) -> Problem:
    return Problem(
        f"`{key}` goes by {what}, which a `.weights.h5` file does not have",
        path=(key,),
        hint="give the model's config with --architecture FILE",
    )


def _no_order(path: DocumentPath) -> Problem:
    return Problem(
        "`pick` counts layers in model order, which a `.weights.h5` file does not have",
        path=(*path, "pick"),
        hint="give the model's config with --architecture FILE",
    )


def _pick(layers: list[int], pick: Pick, random: RandomIndices | None, path: DocumentPath) -> list[int]:
    if pick.skip_first is not UNSET:
        layers = layers[pick.skip_first :]
    if pick.skip_last is not UNSET:
        layers = layers[: max(0, len(layers) - pick.skip_last)]
    if pick.first is not UNSET:
        layers = layers[: pick.first]
    if pick.last is not UNSET:
        layers = layers[max(0, len(layers) - pick.last) :]
    if pick.random is not UNSET and pick.random < len(layers):
        if random is None:
            message = "`random` needs the random stream of a step"
            raise PlanError(message, path=(*path, "pick", "random"))
        layers = sorted(layers[number] for number in random(len(layers), pick.random))
    return layers


def check_contract(expect: int | Expect, layers: list[str], path: DocumentPath) -> None:
    """Checks the number of layers.

    Raises:
        PlanError: there are more or fewer layers than expected.
        ContractUnmet: there are no layers, but some are expected.
    """
    contract = Expect(min=expect, max=expect) if isinstance(expect, int) else expect
    if contract.min <= len(layers) and (contract.max is UNSET or len(layers) <= contract.max):
        return
    if contract.max is UNSET:
        wanted = f"at least {plural(contract.min, 'layer')}"
    elif contract.min == contract.max:
        wanted = plural(contract.min, "layer")
    elif contract.min == 0:
        wanted = f"at most {plural(contract.max, 'layer')}"
    else:
        wanted = f"{contract.min} to {contract.max} layers"
    found = (
        f"{len(layers)} match{'es' * (len(layers) == 1)}: {listed(layers, LAYERS_SHOWN)}" if layers else "none match"
    )
    hint = "change the selector, or what it expects"
    problem = Problem(f"expected {wanted}, but {found}", path=(*path, "expect"), hint=hint)
    raise (PlanError if layers else ContractUnmet)(problem)
