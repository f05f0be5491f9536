"""Results of earlier calls in a folder: a job replaces only its own result, and a sweep does not join another one.

A job's own result is one of the same inputs. Results of jobs that failed are in nobody's way. `force=true` is the
consent to replace and to join what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec

from mutspec.errors import CallError, MutspecError, Place, Problem
from mutspec.experiment.data.loading import name_of_data
from mutspec.experiment.job_inputs import has_same_data, inputs_digest, load_data_once, model_content
from mutspec.experiment.job_settings import Settings
from mutspec.experiment.jobs.overridden import Composed
from mutspec.experiment.jobs.recipes import shown
from mutspec.experiment.result import FILE_NAME, OtherVersionError, Result, read
from mutspec.experiment.result_differences import seed_range, two, two_values
from mutspec.experiment.search.scaled_number import searched_effect
from mutspec.model.live import quiet_imports
from mutspec.text import words

_PARTS = ("plan", "model", "data")


@dataclass(frozen=True)
class Wanted:
    """A job that a call is about to run.

    Arguments:
        folder: where its result goes.
        settings, composed: of the job.
        modules: what the call imports.
        overrides: of the job, as written.
        swept: the keys that differ between the jobs of the call.
    """

    folder: Path
    settings: Settings
    composed: Composed
    modules: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    swept: frozenset[str] = frozenset()

    @cached_property
    def inputs_digest(self) -> str:
        """The digest of everything that its result depends on."""
        return inputs_digest(self.settings, self.composed.plan, self.modules)

    @cached_property
    def effect_digest(self) -> str:
        """The digest of what its plan does."""
        plan, mode = self.composed.plan, self.settings.mode
        return searched_effect(plan, mode) if mode.bisects else plan.effect_digest

    def is_swept(self, part: str) -> bool:
        """Tells whether the call sweeps over its plan, model or data; an experiment may set all of them."""
        is_part = (part, "experiment")
        return any(key in is_part or (part != "plan" and key.startswith(f"{part}.")) for key in self.swept)


class InTheWayError(CallError):
    """The result of another job is where a job would leave its own."""


def check_job(wanted: Wanted) -> None:
    """Refuses a job in whose folder another one has left its result.

    Raises:
        InTheWayError: another one has.
    """
    known = None if wanted.settings.force else _result(wanted.folder)
    if known is not None and not _is_its_own(known, wanted):
        raise InTheWayError(_in_the_way(known, wanted))


def _is_its_own(known: Result, wanted: Wanted) -> bool:
    is_same = known.inputs_digest == wanted.inputs_digest
    return is_same and has_same_data(known.data.digest, wanted.settings.data)


def _result(folder: Path) -> Result | None:
    """The result in a folder, unless its job failed; None too if it is damaged: then it is none any more."""
    try:
        result = read(folder / FILE_NAME)
    except OtherVersionError as error:
        raise InTheWayError([replace(each, hint=_hint(is_sweep=None)) for each in error.problems]) from None
    except CallError:
        return None
    return None if result.error is not None else result


def _in_the_way(known: Result, wanted: Wanted) -> Problem:
    message = f"this has the result of another job: {'; '.join(_differences(known, wanted))}"
    place = Place(shown(wanted.folder / FILE_NAME), 0, 0, 0)
    return Problem(message, place, hint=_hint(is_sweep=known.job.number is not None))


def _hint(*, is_sweep: bool | None) -> str:
    key = {True: "hydra.sweep.dir=DIR", False: "hydra.run.dir=DIR", None: "another DIR"}[is_sweep]
    return f"write elsewhere by {key}, or add force=true to replace what is in the way"


def _differences(known: Result, wanted: Wanted) -> Iterator[str]:
    """Returns the differences between a result and a job."""
    settings, plan = wanted.settings, wanted.composed.plan
    if not known.plan.effect_digest:
        yield "it is of format version 1, which does not say of what it is"
        return
    found = []
    if known.plan.effect_digest != wanted.effect_digest:
        given = sorted({name for name in (*known.parameters, *plan.params) if _differs(known, wanted, name)})
        values = ", ".join(
            two_values(f"its params.{name}", known.parameters.get(name), plan.params.get(name)) for name in given
        )
        found.append(
            values or two("its plan", known.plan.name, known.plan.effect_digest, plan.name, wanted.effect_digest)
        )
    weights = model_content(settings.model.path).weights
    if known.model.weights_digest != weights:
        found.append(two("its model", known.model.path, known.model.weights_digest, settings.model.path, weights))
    for name, digest in known.inputs.items():
        path = settings.inputs.get(name)
        if path is not None and (other := model_content(path).weights) != digest:
            found.append(two(f"its inputs.{name}", path, digest, path, other))
    if known.mode != settings.mode.name:
        found.append(f"its mode is {known.mode}, not {settings.mode.name}")
    elif settings.mode.evaluates and (data := _data_digest(settings)) not in ("", known.data.digest):
        found.append(two("its data", known.data.name, known.data.digest, name_of_data(settings.data), data))
    seeds, wanted_seeds = sorted(row.seed for row in known.rows), [plan.seed, plan.seed + settings.seeds - 1]
    if seeds and [seeds[0], seeds[-1]] != wanted_seeds:
        found.append(f"its seeds are {seed_range(seeds)}, not {seed_range(wanted_seeds)}")
    yield from found or ["its settings, what they read, or the versions of what computes are others"]


def _differs(known: Result, wanted: Wanted, name: str) -> bool:
    if known.breaking is not None and known.breaking.key == f"params.{name}":
        return False
    return bool(known.parameters.get(name) != wanted.composed.plan.params.get(name)) and (
        known.plan.name == wanted.composed.plan.name
    )


def _data_digest(settings: Settings) -> str:
    """The digest of a job's data; empty if they cannot be loaded, as the job will say."""
    with suppress(MutspecError, OSError), quiet_imports():
        return load_data_once(settings.data).digest
    return ""


# -- sweeps


@dataclass
class Earlier:
    """The plans, models and data of earlier sweeps in a folder, by names (with the settings of each) and digests.

    Arguments:
        folder: the folder.
        digests: for plan, model and data, the digests of each name.
        is_unknown: whether some results do not say of what they are.
    """

    folder: Path
    digests: dict[str, dict[str, set[str]]] = field(default_factory=lambda: {part: {} for part in _PARTS})
    is_unknown: bool = False
    _data: dict[bytes, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, jobs: Iterable[str]) -> Earlier:
        """The folder as it is now.

        Arguments:
            folder: of the sweep.
            jobs: the folders of the jobs that have left results.

        Raises:
            InTheWayError: a result is of a format that cannot be read.
        """
        found = cls(folder)
        for job in jobs:
            if (result := _result(folder / job)) is not None:
                found._take(result)
        return found

    def _take(self, result: Result) -> None:
        self.is_unknown |= not result.plan.effect_digest
        for part, name, digest in (
            ("plan", result.plan.recipe or result.plan.name, result.plan.recipe_digest),
            ("model", result.model.path, result.model.weights_digest),
            ("data", result.data.name, result.data.digest),
        ):
            if digest:
                self.digests[part].setdefault(_named(part, name, result.job.overrides), set()).add(digest)

    def __bool__(self) -> bool:
        """Tells whether there are results."""
        return self.is_unknown or any(self.digests.values())

    def check_all(self, jobs: Sequence[Wanted]) -> None:
        """Refuses the jobs of a sweep, all of which are known, if one is in the way of another, or they are of others.

        A sweep that has grown has something in common with what is there of plans, models and data.

        Raises:
            CallError: they are refused.
        """
        self._check_known()
        found: dict[str, dict[str, set[str]]] = {part: {} for part in _PARTS}
        for wanted in jobs:
            for part, name, digest in self._parts(wanted):
                found[part].setdefault(name, set()).add(digest)
        self._refuse(filter(None, (self._difference(part, found[part]) for part in _PARTS)))
        problems: list[Problem] = []
        for wanted in jobs:
            try:
                check_job(wanted)
            except CallError as error:
                problems += error.problems
        if problems:
            more = f" ({words.plural(len(problems) - 1, 'more job')})" if len(problems) > 1 else ""
            raise CallError(replace(problems[0], message=problems[0].message + more))

    def check(self, wanted: Wanted) -> None:
        """Refuses a job of a sweep of which the other jobs are not known yet.

        Raises:
            CallError: it is refused.
        """
        self._check_known()
        found = {part: {name: {digest}} for part, name, digest in self._parts(wanted)}
        swept = {part for part in _PARTS if wanted.is_swept(part)}
        self._refuse(
            filter(None, (self._difference(part, found.get(part, {}), is_swept=part in swept) for part in _PARTS))
        )
        check_job(wanted)

    def _check_known(self) -> None:
        if self.is_unknown:
            self._refuse(["they are of format version 1, which does not say of what they are"])

    def _difference(self, part: str, found: dict[str, set[str]], *, is_swept: bool = False) -> str:
        """Returns the difference in plan, model or data; None if one sweep may have both."""
        here = self.digests[part]
        for name, digests in found.items():
            if name in here and digests - here[name]:
                return two(f"the {part}", _shown(name), min(here[name]), _shown(name), min(digests - here[name]))
        known, wanted = (set().union(*each.values()) if each else set() for each in (here, found))
        if not known or not wanted or known & wanted or is_swept:
            return ""
        names = [_shown(next(iter(each))) for each in (here, found)]
        return f"the {part} is `{names[0]}`, not `{names[1]}`"

    def _refuse(self, differences: Iterable[str]) -> None:
        if said := "; ".join(differences):
            place = Place(shown(self.folder), 0, 0, 0)
            hint = (
                "write elsewhere by hydra.sweep.dir=DIR, or add force=true to join them and replace what is in the way"
            )
            raise CallError(f"this folder has the results of another sweep: {said}", place=place, hint=hint)

    def _parts(self, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
        """A job's plan, model and data: the name and the digest of each, where it is known."""
        settings, composed = wanted.settings, wanted.composed
        yield "plan", _named("plan", composed.recipe, wanted.overrides), composed.recipe_digest
        if weights := model_content(settings.model.path).weights:
            yield "model", _named("model", settings.model.path, wanted.overrides), weights
        if data := self._data_of(wanted):
            yield "data", _named("data", name_of_data(settings.data), wanted.overrides), data

    def _data_of(self, wanted: Wanted) -> str:
        """The digest of a job's data. They are not loaded if a result of the same inputs has it."""
        if not wanted.settings.mode.evaluates:
            return ""
        content = msgspec.json.encode(wanted.settings.data, order="sorted")
        if content not in self._data:
            known = _result(wanted.folder)
            is_same = known is not None and _is_its_own(known, wanted) and known.data.digest
            self._data[content] = str(is_same) if is_same else _data_digest(wanted.settings)
        return self._data[content]


def _named(part: str, name: str, overrides: Iterable[str]) -> str:
    """A name with the overrides that may make it stand for something else, such as `data.limit=100`."""
    lines = sorted({each.lstrip("+") for each in overrides})
    own = [each for each in lines if each.startswith(f"{part}.") and not each.startswith(f"{part}.path=")]
    return "\n".join([name, *([] if part == "plan" else own)])


def _shown(named: str) -> str:
    return named.replace("\n", " ")
