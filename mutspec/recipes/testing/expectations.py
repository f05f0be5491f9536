"""What a test can expect: for each key of `expect`, a function that yields what is not as expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from mutspec.access.read import reader_of
from mutspec.compare.arithmetic import count_non_finite
from mutspec.errors import DocumentPath, Problem, nearest
from mutspec.execute.prepare import shape_oracle
from mutspec.recipes.testing.attempt import Attempt
from mutspec.recipes.testing.bounds import missed
from mutspec.recipes.testing.document import (
    DiffExpected,
    Expected,
    LayersExpected,
    Snapshot,
    StructureExpected,
    TargetsExpected,
    ValuesExpected,
)
from mutspec.recipes.testing.measures import NO_DIFFERENCE, blocks, values_of
from mutspec.recipes.testing.selecting import Touched, select, select_layers, select_weights, touched_by
from mutspec.recipes.testing.snapshots import snapshot_of, snapshot_problems
from mutspec.show.diff import TensorDiff
from mutspec.structure.flow import Flow
from mutspec.structure.network import refs
from mutspec.structure.network_config import network_of
from mutspec.text.words import listed, plural

Problems = Iterator[Problem]
"""What is not as expected; paths begin at the value of the expectation."""


@dataclass(frozen=True)
class Expectation:
    """An expectation.

    Arguments:
        check: yields what is not as expected, for the value in the test.
        needs_mutant: whether the plan must be applied; a dry-run tells the others.
        needs_keras: the values for which Keras is asked; None for none of them.
    """

    check: Callable[[Any, Attempt], Problems]
    needs_mutant: bool = True
    needs_keras: Callable[[Any], bool] | None = None


def given(expected: Expected) -> dict[str, Any]:
    """Returns the expectations of a test, by key, without `error`."""
    return {name: value for name in EXPECTATIONS if (value := getattr(expected, name)) is not UNSET}


def needs_keras(expected: Expected) -> bool:
    """Returns whether Keras must be asked to tell whether a test passes."""
    asks = ((EXPECTATIONS[key].needs_keras, value) for key, value in given(expected).items())
    return any(asked is not None and asked(value) for asked, value in asks)


def problems_of(attempt: Attempt, leaves_out: Container[str] = ()) -> Problems:
    """Yields all that is not as a test expects; paths begin at the test.

    Arguments:
        attempt: the plan, applied or not.
        leaves_out: the keys of expectations that are not checked.
    """
    for key, value in given(attempt.case.test.expect).items():
        if key in leaves_out:
            continue
        for problem in EXPECTATIONS[key].check(value, attempt):
            yield problem.below("expect", key)


# What the steps do.


def _targets(expected: TargetsExpected, attempt: Attempt) -> Problems:
    touched = touched_by(attempt.report)
    for key, target in (("match", expected.match), ("not", expected.not_), ("only", expected.only)):
        if target is UNSET:
            continue
        selected = select(target, attempt.before, attempt.after)
        yield from (problem.below(key) for problem in selected.problems)
        if selected.problems:
            continue
        if key != "not" and (left := touched.left_of(selected)):
            yield Problem(f"expected the steps to touch {listed(left)}", path=(key,), hint=_said(touched))
        if key == "not" and (wrong := touched.of(selected)):
            yield Problem(f"expected the steps not to touch {listed(wrong)}", path=(key,))
        if key == "only" and (others := touched.besides(selected)):
            yield Problem(f"expected the steps to touch nothing else, but they touch {listed(others)}", path=(key,))


def _said(touched: Touched) -> str:
    names = [*touched.weights, *touched.layers]
    return f"the steps touch {listed(names)}" if names else "the steps touch nothing"


def _counts(expected: dict[str, Any], attempt: Attempt) -> Problems:
    found = {step.id: sum(target.touched for target in step.targets) for step in attempt.report.steps}
    for step, bound in expected.items():
        if step not in found:
            hint = f"its steps are {listed(list(found))}"
            yield Problem(f"the plan has no step `{step}`", path=(step,), hint=hint, candidates=nearest(step, found))
        elif said := missed(found[step], bound):
            yield Problem(f"entries that `{step}` touches: expected {said}, found {found[step]:,}", path=(step,))


def _warnings(expected: tuple[str, ...], attempt: Attempt) -> Problems:
    said = [problem.message for problem in attempt.report.warnings]
    for number, part in enumerate(expected):
        if not any(part in each for each in said):
            hint = f"the warnings are: {'; '.join(said)}" if said else "there are no warnings"
            yield Problem(f"expected a warning with `{part}`", path=(number,), hint=hint)
    for each in said:
        if not any(part in each for part in expected):
            yield Problem(f"did not expect the warning: {each}")


# Structure.


def _structure(expected: StructureExpected, attempt: Attempt) -> Problems:
    structure = attempt.report.structure
    found_layers = {
        "added": [layer.path for layer in structure.added],
        "removed": [layer.path for layer in structure.removed],
        "changed": [change.layer for change in structure.changed],
    }
    for key, found in found_layers.items():
        value = getattr(expected, key)
        if isinstance(value, tuple):
            yield from _names(value, found, key)
        elif value is not UNSET and (said := missed(len(found), value)):
            hint = f"{key}: {listed(found)}" if found else ""
            yield Problem(f"{key} layers: expected {said}, found {len(found):,}", path=(key,), hint=hint)
    for key, number in (("parameters", attempt.after.parameters), ("layers", len(attempt.after.layers))):
        value = getattr(expected, key)
        if value is not UNSET and (said := missed(number, value)):
            yield Problem(f"{key}: expected {said}, found {number:,}", path=(key,))
    if not (expected.inputs is UNSET and expected.outputs is UNSET):
        yield from _ports(expected, attempt)


def _names(expected: tuple[str, ...], found: list[str], key: str) -> Problems:
    for number, name in enumerate(expected):
        if name not in found:
            hint = f"{key}: {listed(found)}" if found else f"no layer is {key}"
            path = (key, number)
            yield Problem(f"expected `{name}` to be {key}", path=path, hint=hint, candidates=nearest(name, found))
    if others := [name for name in found if name not in expected]:
        yield Problem(f"did not expect to be {key}: {listed(others)}", path=(key,))


def _ports(expected: StructureExpected, attempt: Attempt) -> Problems:
    network = network_of(attempt.config)
    flow = Flow(shape_oracle(attempt.base, False, {}), lambda path: {})
    for key, ports in (("inputs", network.inputs), ("outputs", network.outputs)):
        wanted = getattr(expected, key)
        found = tuple(_shape(flow.type_of(network, ref).shape) for ref in refs([ports]))
        if wanted is not UNSET and found != (shapes := tuple(map(_shape, wanted))):
            said = " and ".join(shapes) or "nothing"
            yield Problem(f"shapes of {key}: expected {said}, found {' and '.join(found)}", path=(key,))


def _shape(shape: Iterable[int | None]) -> str:
    return f"({', '.join('?' if each is None else str(each) for each in shape)})"


def _layers(expected: tuple[LayersExpected, ...], attempt: Attempt) -> Problems:
    for number, each in enumerate(expected):
        found, problems = select_layers(each.target, attempt.after)
        if problems and not select_layers(each.target, attempt.before)[0]:
            # A misspelt target matches nothing in the mutant, as would one that expects no layer.
            yield from (problem.below(number, "target") for problem in problems)
        elif said := missed(len(found), each.count):
            hint = f"found {listed(found)}" if found else ""
            path: DocumentPath = (number, "count")
            yield Problem(f"layers that match: expected {said}, found {len(found):,}", path=path, hint=hint)


# Values.


def _diff(expected: DiffExpected | tuple[DiffExpected, ...], attempt: Attempt) -> Problems:
    differing = {f"{each.layer}/{each.weight}": each for each in attempt.diff.tensors}
    for each, at in _each(expected):
        found = select_weights(each.target, attempt.before)
        yield from (problem.below(*at, "target") for problem in found.problems)
        paths = [path for path in found.weights if each.target is not UNSET or _is_in_both(path, attempt)]
        for key, bound in _bounds_of(each).items():
            measured = {path: _measure(differing.get(_name(attempt, path)), key) for path in paths}
            yield from _out_of_bounds(measured, key, bound, (*at, key))


def _is_in_both(path: str, attempt: Attempt) -> bool:
    """Returns whether a weight of the model can be compared with that of the mutant."""
    after = attempt.after.tensor_by_path.get(path)
    return after is not None and after.shape == attempt.before.tensor_by_path[path].shape


def _name(attempt: Attempt, path: str) -> str:
    """Returns the name of a weight as differences have it."""
    tensor = attempt.before.tensor_by_path[path]
    return f"{tensor.layer}/{tensor.role}"


def _measure(tensor: TensorDiff | None, key: str) -> float | str:
    """Returns a measure of the difference of a weight, or why it has none."""
    value: float | None = NO_DIFFERENCE[key] if tensor is None else getattr(tensor, key)
    if value is not None:
        return value
    assert tensor is not None
    return f"nothing, as it is {tensor.status.value}" if tensor.changed is None else "nothing"


def _out_of_bounds(measured: Mapping[str, float | str], key: str, bound: Any, path: DocumentPath) -> Problems:
    """Yields a problem if a measure of some weights is not within a bound."""
    wrong, said = [], ""
    for weight, value in measured.items():
        if isinstance(value, str):
            wrong.append(f"{value} for `{weight}`")
            said = said or missed(float("nan"), bound)
        elif expected := missed(value, bound):
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
            wrong.append(f"{shown} for `{weight}`")
            said = expected
    if wrong:
        others = f" and {plural(len(wrong) - _MOST_SHOWN, 'more weight')}" if len(wrong) > _MOST_SHOWN else ""
        yield Problem(f"`{key}`: expected {said}, found {', '.join(wrong[:_MOST_SHOWN])}{others}", path=path)


_MOST_SHOWN = 4
"""The most weights that a message names."""


def _unchanged(target: Any, attempt: Attempt) -> Problems:
    differing = {f"{each.layer}/{each.weight}": each for each in attempt.diff.tensors}
    found = select_weights(target, attempt.before)
    yield from found.problems
    for path in found.weights:
        tensor = differing.get(_name(attempt, path))
        if tensor is not None:
            of = "" if tensor.changed is None else f" in {plural(tensor.changed, 'entry')} of {tensor.elements:,}"
            yield Problem(f"expected `{path}` to stay as it is, but it is {tensor.status.value}{of}")


def _values(expected: ValuesExpected | tuple[ValuesExpected, ...], attempt: Attempt) -> Problems:
    for each, at in _each(expected):
        found = select_weights(each.target, attempt.after)
        yield from (problem.below(*at, "target") for problem in found.problems)
        counts = each.distinct is not UNSET
        values = {path: values_of(attempt.made, path, counts_distinct=counts) for path in found.weights}
        for key, bound in _bounds_of(each).items():
            measured = {path: getattr(each, key) for path, each in values.items()}
            yield from _out_of_bounds(measured, key, bound, (*at, key))


def _each(expected: Any) -> Iterator[tuple[Any, DocumentPath]]:
    """Yields the expectations of a list, or a single one, each with its path."""
    if isinstance(expected, tuple):
        yield from ((each, (number,)) for number, each in enumerate(expected))
    else:
        yield expected, ()


def _bounds_of(expected: Any) -> dict[str, Any]:
    keys = (key for key in expected.__struct_fields__ if key != "target")
    return {key: bound for key in keys if (bound := getattr(expected, key)) is not UNSET}


def _finite(what: str, attempt: Attempt) -> Problems:
    if what == "outputs":
        if not attempt.outputs.is_finite:
            yield Problem("expected finite outputs, but for random inputs the mutant predicts what is infinite or NaN")
        return
    for path, count in _non_finite(attempt):
        if count:
            yield Problem(f"expected finite weights, but {plural(count, 'entry')} of `{path}` are infinite or NaN")


def _non_finite(attempt: Attempt) -> Iterator[tuple[str, int]]:
    """Yields how many entries of each weight are infinite or NaN."""
    with reader_of(attempt.made) as reader:
        for tensor in attempt.after.tensors:
            if tensor.dtype.startswith(("float", "bfloat")):
                parts = blocks(reader, tensor.path, tensor.size)
                yield tensor.path, sum(count_non_finite(part).non_finite for part in parts)


# What only Keras tells.


def _preserves_function(expected: bool, attempt: Attempt) -> Problems:
    found = attempt.outputs
    if found.difference is None:
        yield Problem("whether predictions stay cannot be told", hint=found.reason)
    elif expected and not found.is_same:
        shapes = "outputs of other shapes"
        by = shapes if math.isinf(found.difference) else f"outputs that differ by {found.difference:.2g} of the largest"
        yield Problem(f"expected the predictions of the model, found {by}")
    elif not expected and found.is_same:
        yield Problem("expected other predictions than the model's, found the same")


def _gates(_: Any, attempt: Attempt) -> Problems:
    yield from attempt.shared.keras.missed_gates(attempt.case, attempt.plan, attempt.base, attempt.inputs)


# Snapshots.


def _snapshot(expected: Snapshot | None, attempt: Attempt) -> Problems:
    if expected is None:
        yield Problem("the snapshot is empty", hint="`mutspec test --update` fills it in")
    else:
        yield from snapshot_problems(expected, snapshot_of(attempt.made, attempt.diff))


EXPECTATIONS: dict[str, Expectation] = {
    "targets": Expectation(_targets, needs_mutant=False),
    "counts": Expectation(_counts, needs_mutant=False),
    "structure": Expectation(_structure, needs_mutant=False),
    "layers": Expectation(_layers, needs_mutant=False),
    "warnings": Expectation(_warnings, needs_mutant=False),
    "diff": Expectation(_diff),
    "unchanged": Expectation(_unchanged),
    "values": Expectation(_values),
    "finite": Expectation(_finite, needs_keras=lambda what: what == "outputs"),
    "preserves_function": Expectation(_preserves_function, needs_keras=lambda _: True),
    "gates": Expectation(_gates, needs_keras=lambda _: True),
    "snapshot": Expectation(_snapshot),
}
"""All expectations but `error`, by their key, in the order in which they are checked."""
