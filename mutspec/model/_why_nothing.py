"""Explains why a target matches nothing, with the nearest names and a hint. It is slow, and only used for errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import UNSET
from msgspec.structs import replace

from mutspec.errors import DocumentPath, Problem, nearest
from mutspec.keras_facts.roles import Group
from mutspec.language.types import PLACES, Selector, Target, or_default
from mutspec.model._arguments import is_spelling, listed_values, written
from mutspec.model._bits import members
from mutspec.model._evaluate import (
    LAYERS_SHOWN,
    MOST_EXPLAINED,
    REGEX_PREFIX,
    LayerEvaluation,
    TargetEvaluation,
    TensorEvaluation,
    as_selector,
)
from mutspec.model._index import pattern_path, patterns
from mutspec.text.words import listed, plural


def why_nothing(evaluation: TargetEvaluation, target: Target) -> list[Problem]:
    """Returns the problems that explain why a target matches nothing.

    Arguments:
        evaluation: the evaluation of the target. Its contracts are not checked again.
        target: the whole target.
    """
    evaluation.checks_contracts = False
    return _Explanation(evaluation).target(target, ())


_SIGNS = re.compile(r"\\[A-Za-z]|[][^$.*+?(){}|\\]")
"""What stands for other characters in a regular expression."""

_CLAIMS = ("name", "regex", "type", "where", *PLACES)
"""The keys of a selector that are claims about layers."""


class _Explanation:
    def __init__(self, evaluation: TargetEvaluation) -> None:
        self.evaluation = evaluation
        self.index = evaluation.index
        self.weights = evaluation.default if isinstance(evaluation, TensorEvaluation) else 0
        self.things = "weights" if isinstance(evaluation, TensorEvaluation) else "layers"

    def target(self, target: Target, path: DocumentPath) -> list[Problem]:
        if isinstance(target, str):
            selector = as_selector(target)
            key = "regex" if target.startswith(REGEX_PREFIX) else "name"
            pattern = target.removeprefix(REGEX_PREFIX)
            return self._pattern(key, pattern, path) or [self._without_weights(selector, path)]
        if isinstance(target, Selector):
            return self._selector(target, path)
        return self._list(target, path)

    def _list(self, targets: tuple[Target, ...], path: DocumentPath) -> list[Problem]:
        if not targets:
            return [Problem("an empty list matches nothing", path=path)]
        shown_targets = enumerate(targets[:MOST_EXPLAINED])
        return [problem for number, member in shown_targets for problem in self.target(member, (*path, number))]

    def _selector(self, selector: Selector, path: DocumentPath) -> list[Problem]:
        return (
            self._claims(selector, path)
            or self._weights(selector, path)
            or self._members(selector, path)
            or [self._rest(selector, path)]
        )

    def _claims(self, selector: Selector, path: DocumentPath) -> list[Problem]:
        """Explains the claims about layers: one of them matches nothing by itself, or all of them together."""
        keys = {"name": selector.name, "regex": selector.regex, "type": selector.type}
        for key, value in keys.items():
            problems = [
                self._pattern(key, pattern, (*path, *pattern_path(key, value, number)))
                for number, pattern in enumerate(patterns(value)[:MOST_EXPLAINED])
            ]
            if value is not UNSET and all(problems):
                return [problem for found in problems for problem in found] or [
                    Problem("an empty list matches nothing", path=(*path, key))
                ]
        if further := [*self._where(selector, path), *self._places(selector, path)]:
            return further
        claims = {key: value for key in _CLAIMS if (value := getattr(selector, key)) is not UNSET}
        claim = self.evaluation.claim(selector)
        if claim is not None and not claim:
            return [self._together(selector, claims, path)]
        return [] if self.evaluation.keys(Selector(**claims)).all else [self._without_weights(selector, path)]

    def _together(self, selector: Selector, claims: Iterable[str], path: DocumentPath) -> Problem:
        """Explains claims that all match something, but nothing together."""
        *others, last = (f"`{key}`" for key in claims)
        hint = ""
        if not others and selector.where is not UNSET:
            shown_arguments = ", ".join(f"`{name}: {written(value)}`" for name, value in selector.where.items())
            return Problem(f"no layer has all of {shown_arguments}", path=(*path, "where"))
        if selector.where is not UNSET and len(selector.where) == 1:
            (argument,) = selector.where
            claim = self.evaluation.claim(replace(selector, where=UNSET))
            layers = self.index.all_layers if claim is None else claim.layers
            found = [value for number, value in self.index.arguments.values(argument).items() if layers >> number & 1]
            hint = f"in the layers that the other keys match, `{argument}` is {listed_values(found)}" if found else ""
        return Problem(f"no layer matches {', '.join(others)} and {last} together", path=path, hint=hint)

    def _where(self, selector: Selector, path: DocumentPath) -> Iterator[Problem]:
        """Explains an argument that no layer has, or not with such a value."""
        arguments = self.index.arguments
        for argument, wanted in or_default(selector.where, {}).items():
            values, where = arguments.values(argument), (*path, "where", argument)
            if not values:
                candidates = nearest(argument, arguments.names())
                yield Problem(f"no layer has an argument `{argument}`", path=where, candidates=candidates)
            elif not arguments.fitting(argument, wanted):
                names = arguments.unknown_names(argument, wanted)
                candidates = tuple(each for name in names for each in arguments.nearest_name(argument, name))
                message = f"no layer has `{argument}: {written(wanted)}`"
                hint = f"`{argument}` is {listed_values(values.values())}"
                if kind := next((name for name in self.index.classes.names if is_spelling(name, wanted)), ""):
                    hint += f"; to select layers of the class {kind}, write `{{type: {kind}}}`"
                yield Problem(message, path=where, hint=hint, candidates=candidates)

    def _places(self, selector: Selector, path: DocumentPath) -> Iterator[Problem]:
        """Explains a place that no layer has, because its target matches nothing or is at an end of the graph."""
        below = _Explanation(self.evaluation.layers())
        for key in PLACES:
            value = getattr(selector, key)
            if value is UNSET:
                continue
            at = (*path, key)
            targets = [(value, at)] if key != "between" else [(each, (*at, end)) for end, each in enumerate(value)]
            found = [below.evaluation.target(target, (), 0).all for target, _ in targets]
            if not all(found):
                for (target, at), layers in zip(targets, found, strict=True):
                    yield from () if layers else below.target(target, at)
                continue
            place = self.evaluation.place(Selector(**{key: value}))
            if place is not None and not place.layers:
                yield Problem(self._no_place(key, found), path=at)

    def _no_place(self, key: str, targets: list[int]) -> str:
        ends = [
            listed([layer.path for layer in members(self.index.spec.layers, layers)], LAYERS_SHOWN)
            for layers in targets
        ]
        if key == "between":
            return f"no path leads from {ends[0]} to {ends[1]}"
        return f"nothing comes {'before' if key in ('followed_by', 'upstream_of') else 'after'} {ends[0]}"

    def _pattern(self, key: str, pattern: str, path: DocumentPath) -> list[Problem]:
        claim = self.index.fits(key, pattern, path)
        if isinstance(self.evaluation, LayerEvaluation) and claim and not claim.layers:
            tensor = next(members(self.index.spec.tensors, claim.named | claim.loose))
            message = f"`{pattern}` is the path of a weight, but a layer is needed"
            return [Problem(message, path=path, candidates=(tensor.layer,))]
        if claim:
            return []
        return [self._unknown_class(pattern, path) if key == "type" else self._unknown_name(key, pattern, path)]

    def _unknown_class(self, pattern: str, path: DocumentPath) -> Problem:
        types = sorted({layer.class_name for layer in self.index.spec.layers} - {""})
        message = f"the model has no layer of type `{pattern}`"
        if self.index.spec.is_partial and not types:
            hint = "a file of only weights has no types of layers; give a file that has them with --architecture"
            return Problem(message, path=path, hint=hint)
        hint = f"its types are {listed(types, 12)}" if types else ""
        return Problem(message, path=path, hint=hint, candidates=nearest(pattern, self.index.classes.names))

    def _unknown_name(self, key: str, pattern: str, path: DocumentPath) -> Problem:
        index, hint = self.index, ""
        if "/" in pattern:
            paths = [*index.layer_paths.names, *index.tensor_paths.names]
            same_name = [each for each in paths if each.rpartition("/")[2] == pattern.rpartition("/")[2]]
            candidates = tuple(dict.fromkeys((*nearest(pattern, same_name), *nearest(pattern, paths))))[:3]
            subject = "no layer or weight has the path"
        else:
            candidates = nearest(pattern, index.layer_names.names)
            subject = "no layer is called"
            if index.classes.exact(pattern):
                hint = f"`{pattern}` is a class; to select its layers, write `{{type: {pattern}}}`"
            elif index.roles.exact(pattern) or pattern in index.groups:
                hint = f"to select weights of this name, write `{{weights: {pattern}}}`"
            elif key == "name" and pattern.startswith(REGEX_PREFIX):
                hint = f"write a regular expression under `regex`, without `{REGEX_PREFIX}`"
        if key == "regex":
            names = index.layer_names.names if "/" not in pattern else index.layer_paths.names
            candidates = nearest(_SIGNS.sub("", pattern), names)
            hint = "" if candidates else f"the names are {listed(list(names), LAYERS_SHOWN)}"
            subject = "no path matches" if "/" in pattern else "no layer has a name that matches"
        return Problem(f"{subject} `{pattern}`", path=path, hint=hint, candidates=candidates)

    def _weights(self, selector: Selector, path: DocumentPath) -> list[Problem]:
        """Explains `weights`: the model has no such weights, or the matching layers have none."""
        if selector.weights is UNSET:
            return []
        if not self.index.weights(selector.weights):
            return [
                self._unknown_weights(pattern, (*path, *pattern_path("weights", selector.weights, number)))
                for number, pattern in enumerate(patterns(selector.weights))
            ]
        if not self.evaluation.keys(selector).all:
            return [self._without_weights(selector, (*path, "weights"))]
        return []

    def _unknown_weights(self, pattern: str, path: DocumentPath) -> Problem:
        roles = sorted(self.index.roles.names)
        if pattern in set(Group):
            return Problem(f"the model has no {pattern}", path=path, hint=f"its weights are {listed(roles, 12)}")
        candidates = nearest(pattern, [*roles, *(group.value for group in Group)])
        hint = f"its weights are {listed(roles, 12)}" if roles else "it has no weights at all"
        return Problem(f"the model has no weights `{pattern}`", path=path, hint=hint, candidates=candidates)

    def _without_weights(self, selector: Selector, path: DocumentPath) -> Problem:
        """Explains that the matching layers have no such weights, and names those that they have."""
        claim = self.evaluation.claim(selector)
        matched = self.index.all_layers if claim is None else claim.layers
        names = [layer.path for layer in members(self.index.spec.layers, matched)]
        tensors = self.index.all_tensors if claim is None else claim.below | claim.loose | claim.named
        roles = sorted({tensor.role for tensor in members(self.index.spec.tensors, tensors)})
        if names:
            subject = (
                f"{listed(names[:1])} has" if len(names) == 1 else f"{plural(len(names), 'layer')} match, but have"
            )
        else:
            subject = "what matches has"
        if not roles:
            return Problem(
                f"{subject} no weights", path=path, hint="`mutspec inspect MODEL` lists the weights of each layer"
            )
        if selector.weights is UNSET:
            message = f"{subject} no learned weights, only {listed(roles, 12)}"
            return Problem(message, path=path, hint=f"name them: `weights: {roles[0]}`")
        wanted = listed(patterns(selector.weights), LAYERS_SHOWN)
        return Problem(f"{subject} no {wanted}, only {listed(roles, 12)}", path=path, candidates=tuple(roles[:3]))

    def _members(self, selector: Selector, path: DocumentPath) -> list[Problem]:
        """Explains the member of `any` or `all` that matches nothing by itself."""
        if selector.any is not UNSET and not self.evaluation.union(selector.any, (), self.weights).all:
            return self._list(selector.any, (*path, "any"))
        for number, member in enumerate(selector.all if selector.all is not UNSET else ()):
            if not self.evaluation.target(member, (), self.weights).all:
                return self.target(member, (*path, "all", number))
        return []

    def _rest(self, selector: Selector, path: DocumentPath) -> Problem:
        """Explains a selector whose parts all match something, but nothing together."""
        bare = replace(selector, all=UNSET, not_=UNSET, pick=UNSET, expect=UNSET)
        steps = {"any": bare}
        if selector.all is not UNSET:
            steps["all"] = Selector(all=(bare, *selector.all))
        if selector.not_ is not UNSET:
            steps["not"] = Selector(all=(steps.get("all", bare),), not_=selector.not_)
        for key, partial in steps.items():
            if not self._chosen(partial):
                if key == "any" and selector.any is UNSET:
                    return self._without_weights(selector, path)
                if key == "not":
                    message = f"`not` excludes all {self.things} that the other keys match"
                else:
                    message = f"no {self.things[:-1]} matches `{key}` and the other keys together"
                return Problem(message, path=(*path, key))
        if selector.pick is not UNSET:
            last = Selector(all=(list(steps.values())[-1],))
            layers = self.evaluation.parts(self.evaluation.target(last, (), self.weights), self.weights)
            message = f"`pick` leaves none of the {plural(len(layers), 'layer')} that match"
            return Problem(
                message, path=(*path, "pick"), hint="pick more of them, or make the selector match more layers"
            )
        return Problem(f"the selector matches no {self.things}", path=path)

    def _chosen(self, target: Target) -> int:
        chosen = self.evaluation.target(target, (), self.weights)
        return chosen.all if isinstance(self.evaluation, LayerEvaluation) else chosen.decided(self.weights)
