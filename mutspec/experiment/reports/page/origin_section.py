"""The origin of the results: plans with their parameters, models, data, digests, the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mutspec.experiment.reports.aggregate import natural
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.result import Result
from mutspec.experiment.result_settings import as_number, shown
from mutspec.text import words

_MOST_VALUES = 12
_OPEN = 10
"""The most digests that are shown without a click."""


def origin(summary: Summary) -> Markup:
    """Facts that all jobs share or of which there are few, then each plan with its parameters and digests."""
    results = summary.results
    facts = [
        ("Model", _named((Path(each.model.path).name, _digests_of_model(each)) for each in results if each.model.path)),
        ("Data", [element("span", each) for each in _data(results)]),
        ("Objective", _codes(name for each in results for name in each.objectives or [each.objective])),
        ("Mode", _codes(each.mode for each in results)),
        ("Engine", [element("span", each) for each in _distinct(each.engine for each in results)]),
        ("Environment", [element("span", each) for each in _distinct(map(_environment, results))]),
        ("Given to all jobs", [element("code", each) for each in _shared_overrides(results)]),
        ("Saved mutants", _saved(results)),
    ]
    pairs = [element("div", element("dt", name), element("dd", *_lines(said))) for name, said in facts if said]
    plans: dict[str, list[Result]] = {}
    for result in results:
        if result.plan.name:
            plans.setdefault(result.plan.name, []).append(result)
    return join([element("dl", *pairs, class_="origin"), *(_plan(name, each) for name, each in plans.items())])


def _plan(name: str, results: Sequence[Result]) -> Markup:
    """A plan: its parameters, and the digest of each of its resolved forms."""
    parameters = list(dict.fromkeys(each for result in results for each in result.parameters))
    rows: list[tuple[str, object]] = [
        (each, _values(result.parameters.get(each) for result in results)) for each in parameters
    ]
    forms: dict[str, list[Result]] = {}
    for result in results:
        forms.setdefault(result.plan.digest, []).append(result)
    if len(forms) == 1:
        rows.append(("Digest", element("code", results[0].plan.digest)))
    return element(
        "div",
        element("h3", "Plan ", element("code", name)),
        element("dl", *(element("div", element("dt", each), element("dd", said)) for each, said in rows)),
        _digests(name, parameters, forms) if len(forms) > 1 else "",
        class_="plan",
    )


def _digests(name: str, parameters: Sequence[str], forms: Mapping[str, Sequence[Result]]) -> Markup:
    """Returns the digest of each form of a plan, next to the parameters that make it."""
    given = {each: [shown(same[0].parameters.get(each)) for same in forms.values()] for each in parameters}
    varying = [each for each in parameters if len(set(given[each])) > 1]
    rows = [
        [*(given[each][index] for each in varying), element("code", digest), len(same)]
        for index, (digest, same) in enumerate(forms.items())
    ]
    are_numbers = [
        all(as_number(same[0].parameters.get(each)) is not None for same in forms.values()) for each in varying
    ]
    made = table(
        [*varying, "Digest", "Jobs"],
        sorted(rows, key=lambda row: [natural(str(cell)) for cell in row[:-1]]),
        numbers=[*are_numbers, False, True],
        caption=f"Digests of {name}, resolved",
    )
    return element("details", element("summary", words.plural(len(forms), "digest")), made, open=len(forms) <= _OPEN)


def _values(values: Iterable[object]) -> str:
    found = _distinct(shown(value) for value in values)
    more = f" … ({len(found)} values)" if len(found) > _MOST_VALUES else ""
    return ", ".join(found[:_MOST_VALUES]) + more


def _distinct(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _named(pairs: Iterable[tuple[str, str]]) -> list[Markup]:
    """Files with the digests of their structure."""
    known = dict.fromkeys(pairs)
    return [
        join([name, " ", element("code", digest)]) if digest else element("span", name)
        for name, digest in known
        if digest or not any(other == name and its for other, its in known)  # a job that failed early has none
    ]


def _digests_of_model(result: Result) -> str:
    """The digests of the model's structure and, where it is known, of its weights."""
    return " ".join(filter(None, [result.model.structure_digest, result.model.weights_digest]))


def _environment(result: Result) -> str:
    return ", ".join(f"{name} {version}" for name, version in result.environment.items())


def _data(results: Sequence[Result]) -> list[str]:
    evaluated = dict.fromkeys(each.data for each in results if each.data.samples)
    return [
        f"{Path(data.name).name}, {words.plural(data.samples, 'sample')}{data.digest and f', {data.digest}'}"
        for data in evaluated
    ]


def _codes(values: Iterable[str]) -> list[Markup]:
    return [element("code", each) for each in _distinct(values)]


def _shared_overrides(results: Sequence[Result]) -> list[str]:
    shared = [each for each in results[0].job.overrides if all(each in result.job.overrides for result in results)]
    return [each for each in shared if not each.startswith("hydra")]


def _saved(results: Sequence[Result]) -> list[Markup]:
    number = sum(result.output is not None for result in results)
    return [element("span", words.plural(number, "file"))] if number else []


def _lines(said: Sequence[Markup]) -> Iterator[Markup]:
    yield from (element("div", each) for each in said)
