"""What a job of a run or sweep found, as a value and as the file `result.json` in the job's folder."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import msgspec

from mutspec.errors import CallError
from mutspec.execute.output import replacing, write_at, write_problem
from mutspec.experiment.gates import Bound, Verdict
from mutspec.language.files import about

FORMAT_VERSION = 2
"""Of `result.json`. Version 1 has no digests of weights, data and recipes: there names say what is the same."""
READ_VERSIONS = (1, 2)

FIDELITY = ("agreement", "sample_agreement", "divergence", "deviation")
"""What a row says about how true the mutant is to its base, in one number each."""

AGREEMENTS = FIDELITY[:2]
"""Those that are parts of the choices or samples, of which a base has all."""

BREAKING_POINT = "breaking_point"
"""What a search for the scale at which a mutant breaks says of a row."""

FILE_NAME = "result.json"
"""The file in a job's folder."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """Which job of a sweep it was.

    Arguments:
        number: its number in the sweep, from 0; None for a single run.
        overrides: what the call or the sweep set, as `key=value`.
        directory: its output folder.
        call: the time at which its call began, in UTC by ISO 8601; the jobs of a call share it. Empty if not known.
    """

    number: int | None
    overrides: tuple[str, ...]
    directory: str
    call: str = ""


@dataclass(frozen=True, slots=True)
class OutputRow:
    """What is measured of one of several outputs.

    Arguments:
        agreement, divergence, deviation: see `fidelity.OutputFidelity`; None if not measured.
        non_finite: how many of its numbers are infinite or NaN.
        numbers: how many numbers it has.
    """

    agreement: float | None
    divergence: float | None
    deviation: float | None
    non_finite: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one mutant, of one seed, did.

    Arguments:
        seed: the plan's seed.
        metrics: the mutant's loss and metrics by name; empty if nothing was evaluated.
        drop: for each metric the base's minus the mutant's.
        agreement, flips, divergence, deviation: see `fidelity.Fidelity`; None if not measured.
        non_finite_outputs: how many numbers in the mutant's outputs are infinite or NaN.
        touched: the entries that the plan chose.
        changed: the entries whose bits changed; None in a dry-run.
        seconds: how long mutating and evaluating took.
        breaking_point: the least scale found at which the mutant breaks, which is the mutant that all else is about;
            infinite if it holds at the greatest one; None if nothing was searched for.
        holds_at: the scale before it, at which the mutant holds.
        evaluations: how many scales were tried.
        sample_agreement: see `fidelity.Fidelity`.
        output_numbers: how many numbers the mutant's outputs have; None if nothing was evaluated.
        by_output: what is measured of each output, if there are several; else empty.
        changed_nothing: whether the mutant surely predicts what the base does, as the plan changed no weight, and no
            layer that acts in predictions; None if that is not known.
    """

    seed: int
    metrics: dict[str, float]
    drop: dict[str, float]
    agreement: float | None
    non_finite_outputs: int
    touched: int
    changed: int | None
    seconds: float
    flips: dict[str, int] | None = None
    divergence: float | None = None
    deviation: float | None = None
    breaking_point: float | None = None
    holds_at: float | None = None
    evaluations: int | None = None
    sample_agreement: float | None = None
    output_numbers: int | None = None
    by_output: dict[str, OutputRow] = field(default_factory=dict)
    changed_nothing: bool | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether the mutant is no mutant; of results that do not say so, told by what they count and measure."""
        if self.changed_nothing is not None:
            return self.changed_nothing
        return self.touched > 0 and self.changed == 0 and self.deviation == 0

    def to_json(self) -> dict[str, Any]:
        """As in the document."""
        document = {name: getattr(self, name) for name in self.__slots__}
        outputs = {name: {key: getattr(each, key) for key in each.__slots__} for name, each in self.by_output.items()}
        return document | {"by_output": outputs}


@dataclass(frozen=True, slots=True)
class Breaking:
    """What breaking means in a search for breaking points.

    Arguments:
        key: what was scaled, such as `params.std`.
        metric: the measure that breaks.
        bounds: what it holds to, as a gate says.
        tolerance: how far apart, relatively, a scale that holds and one that breaks may be.
    """

    key: str
    metric: str
    bounds: dict[Bound, float]
    tolerance: float

    def __str__(self) -> str:
        """A clause: `accuracy falls by more than 0.1`."""
        said = {"min": "is below", "max": "is above", "max_drop": "falls by more than"}
        name = self.metric.replace("_", " ")
        return f"{name} {' or '.join(f'{said[bound]} {limit:.4g}' for bound, limit in self.bounds.items())}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a job found.

    Arguments:
        engine: the engine's name and version.
        job: which job it was.
        plan_name, plan_digest: of the plan, resolved.
        parameters: the plan's parameters, as JSON values.
        mode: what was done: apply, breaking_point, diff or dry_run.
        model: the model that was mutated, as the call named it.
        structure_digest: of the model, without values.
        data: what it was evaluated on, as the call named it; empty if it was not evaluated.
        samples: how many samples that were.
        objective: the metric that the job returns, of several the first; empty if it was not evaluated.
        base: the base model's loss and metrics by name.
        rows: a row for each seed.
        value: the mean of the objective over the seeds; None if the job failed or evaluated nothing.
        objectives: the means of all that the job returns, by name; empty if there is no value.
        breaking: what the search for breaking points went by; None if there was none.
        effect_digest: of the plan, but for its seed and its labels: mutants of one model that have the same one differ
            by their seed alone. Empty, as the following ones, if it is not known.
        recipe: what the call chose the plan by, such as `paper/noise`; empty if it came from Python.
        recipe_digest: of the plan as it was written, before the call set anything, without its parameters' values.
        weights_digest: of the base model's weights.
        data_digest: of the data's arrays, as they were used.
        input_digests: of the weights of the models that the plan takes from, by the inputs' names.
        gates: whether what is required of the mutants holds.
        output: the mutant's file; None if it was not saved.
        warnings: what the user should know, one sentence each.
        error: why the job failed; None if it did not.
        environment: what it ran in: versions by name, and the platform.
        inputs_digest: of all that it depends on; empty if the job failed, or was none of `mutspec run`.
        classes: how many choices of the base are of each class, which is called as in `Row.flips`.
        units: of the plan's numbers, by the names of settings; see `units.units`.
        evaluate_digest: of the loss and the metrics that it was evaluated by, and of their code; empty if not known.
        directions: `minimize` or `maximize` for each objective of a sweeper that optimises; empty for others.
    """

    engine: str
    job: JobInfo
    plan_name: str
    plan_digest: str
    parameters: dict[str, Any]
    mode: str
    model: str
    structure_digest: str
    data: str
    samples: int
    objective: str
    base: dict[str, float]
    rows: tuple[Row, ...]
    value: float | None
    objectives: dict[str, float] = field(default_factory=dict)
    gates: tuple[Verdict, ...] = ()
    output: str | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    inputs_digest: str = ""
    breaking: Breaking | None = None
    effect_digest: str = ""
    recipe: str = ""
    recipe_digest: str = ""
    weights_digest: str = ""
    data_digest: str = ""
    input_digests: dict[str, str] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    evaluate_digest: str = ""
    directions: dict[str, str] = field(default_factory=dict)

    @property
    def failed_gates(self) -> tuple[Verdict, ...]:
        """What is required and does not hold."""
        return tuple(verdict for verdict in self.gates if not verdict.holds)

    def to_json(self) -> dict[str, Any]:
        """The document that `schemas/result.schema.json` describes."""
        document = {
            "format_version": FORMAT_VERSION,
            "engine": self.engine,
            "job": {
                "number": self.job.number,
                "overrides": list(self.job.overrides),
                "directory": self.job.directory,
                "call": self.job.call,
            },
            "plan": {
                "name": self.plan_name,
                "digest": self.plan_digest,
                "effect_digest": self.effect_digest,
                "recipe": self.recipe,
                "recipe_digest": self.recipe_digest,
            },
            "parameters": self.parameters,
            "units": self.units,
            "mode": self.mode,
            "model": {
                "path": self.model,
                "structure_digest": self.structure_digest,
                "weights_digest": self.weights_digest,
            },
            "data": {"name": self.data, "samples": self.samples, "digest": self.data_digest},
            "inputs": self.input_digests,
            "evaluate_digest": self.evaluate_digest,
            "objective": self.objective,
            "value": self.value,
            "objectives": self.objectives,
            "directions": self.directions,
            "base": self.base,
            "rows": [row.to_json() for row in self.rows],
            "breaking": self.breaking and {name: getattr(self.breaking, name) for name in Breaking.__slots__},
            "gates": [{name: getattr(verdict, name) for name in Verdict.__slots__} for verdict in self.gates],
            "output": self.output,
            "warnings": list(self.warnings),
            "error": self.error,
            "environment": self.environment,
            "inputs_digest": self.inputs_digest,
            "classes": self.classes,
        }
        return {key: as_json(value) for key, value in document.items()}

    def write(self, folder: Path | str) -> Path:
        """Write `result.json` into a folder, which is made if it is missing; a file that is there is replaced.

        Returns:
            The file's path.

        Raises:
            EnvironmentProblem: it cannot be written; what was there is as it was.
        """
        path = Path(folder) / FILE_NAME
        write_whole(path, json_bytes(self.to_json()))
        return path


_HALVES = re.compile("[\ud800-\udfff]")


def json_bytes(document: Mapping[str, Any]) -> bytes:
    r"""A JSON document as the content of a file. Half a character, which none can hold, is written out as `\ud800`."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _HALVES.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made if it is missing, a file that is there is replaced.

    It is not waited for the disk: in a sweep of small models that would take as long as the mutants.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_problem(error, path) from error
    with replacing(path, force=True, is_lasting=False) as (descriptor, _):
        write_at(descriptor, data, 0)


def as_json(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite become `"inf"`, `"-inf"` and `"nan"`, tuples lists."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):  # NumPy's too
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value


# The document's types, for msgspec, which says what is wrong with a file and where. Keys that it does not know are
# passed over: a later mutspec may add some.
_Number = float | Literal["nan", "inf", "-inf"]


class _Job(msgspec.Struct):
    number: int | None
    overrides: tuple[str, ...]
    directory: str
    call: str = ""


class _Plan(msgspec.Struct):
    name: str
    digest: str
    effect_digest: str = ""
    recipe: str = ""
    recipe_digest: str = ""


class _Model(msgspec.Struct):
    path: str
    structure_digest: str
    weights_digest: str = ""


class _Data(msgspec.Struct):
    name: str
    samples: int
    digest: str = ""


class _Output(msgspec.Struct):
    agreement: _Number | None
    divergence: _Number | None
    deviation: _Number | None
    non_finite: int
    numbers: int


class _Row(msgspec.Struct):
    seed: int
    metrics: dict[str, _Number]
    drop: dict[str, _Number]
    agreement: _Number | None
    non_finite_outputs: int
    touched: int
    changed: int | None
    seconds: float
    flips: dict[str, int] | None = None
    divergence: _Number | None = None
    deviation: _Number | None = None
    breaking_point: _Number | None = None
    holds_at: _Number | None = None
    evaluations: int | None = None
    sample_agreement: _Number | None = None
    output_numbers: int | None = None
    by_output: dict[str, _Output] = {}
    changed_nothing: bool | None = None


class _Breaking(msgspec.Struct):
    key: str
    metric: str
    bounds: dict[Bound, float]
    tolerance: float


class _Verdict(msgspec.Struct):
    metric: str
    bound: Bound
    limit: _Number
    value: _Number
    seed: int
    holds: bool


class _Document(msgspec.Struct):
    engine: str
    job: _Job
    plan: _Plan
    parameters: dict[str, Any]
    mode: str
    model: _Model
    data: _Data
    objective: str
    value: _Number | None
    base: dict[str, _Number]
    rows: tuple[_Row, ...]
    output: str | None
    warnings: tuple[str, ...]
    error: str | None
    objectives: dict[str, _Number] = {}
    gates: tuple[_Verdict, ...] = ()
    environment: dict[str, str] = {}
    inputs_digest: str = ""
    breaking: _Breaking | None = None
    inputs: dict[str, str] = {}
    evaluate_digest: str = ""
    classes: dict[str, int] = {}
    units: dict[str, str] = {}
    directions: dict[str, Literal["minimize", "maximize"]] = {}


class OtherVersionError(CallError):
    """A file is a result, and of a format that this mutspec does not read."""


def read(path: Path | str) -> Result:
    """The result in a file.

    Raises:
        CallError: the file cannot be read, is damaged, or is none of ours.
        OtherVersionError: it is of a format that is not read.
    """
    name = os.fspath(path)
    try:
        if Path(path).exists() and not Path(path).is_file():  # to read a pipe would wait for ever
            raise CallError(about(name, "the result is not a file"))
        if (size := Path(path).stat().st_size) > _LARGEST_FILE:
            raise CallError(
                about(name, f"the result is damaged: {size:,} bytes, and at most {_LARGEST_FILE:,} are read")
            )
        data = Path(path).read_bytes()
    except OSError as error:
        raise CallError(about(name, f"the result cannot be read: {error.strerror or error}")) from None
    again = "delete it, or run the job again"
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "is empty" if not data.strip() else f"is damaged: {_lowered(str(error))}"
        raise CallError(about(name, f"the result {what}", again)) from None
    except RecursionError:
        raise CallError(about(name, f"the result is damaged: {_TOO_DEEP}", again)) from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise CallError(about(name, "this is no result of mutspec: it has no format_version", "delete or rename it"))
    if version not in READ_VERSIONS:
        message = f"the result has format version {version}, and this mutspec reads versions 1 and {FORMAT_VERSION}"
        raise OtherVersionError(about(name, message, "read it with the mutspec that wrote it, or run the job again"))
    try:
        document = msgspec.convert(content, _Document)
        if problem := _too_much(content) or _not_ours(document):
            raise CallError(about(name, f"the result is damaged: {problem}", again))
        return _result(document)
    except msgspec.ValidationError as error:
        raise CallError(about(name, f"the result is damaged: {_lowered(str(error))}", again)) from None


_TOO_DEEP = "its values are nested too deeply"
_DEEPEST = 64
"""Of a parameter. Plans are not nested deeper, and what shows parameters calls itself for each level."""
_LARGEST = 2**1000
"""Of whole numbers. Reports compare them with other numbers, which end before 2¹⁰²⁴."""


_LARGEST_FILE = 64 * 2**20
"""The bytes of a result. A row for each of 100,000 seeds takes half of it."""
_LONGEST = 10_000
"""The characters of a text, such as a name or an error. Reports wrap, escape and compare each of them."""
_MOST_ENTRIES = 1_000
"""The entries of a mapping or a list: reports make columns and lines of them."""
_AS_MANY_AS_THERE_ARE = frozenset({"flips", "classes", "rows"})
"""What has an entry for each class, or for each seed."""


def _too_much(content: Any) -> str:
    """What is said of a document that holds more than any run leaves; nothing if it does not."""
    pending = [("", content)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, str) and len(value) > _LONGEST:
            return f"a text has {len(value):,} characters, and at most {_LONGEST:,} are read"
        if isinstance(value, dict | list) and len(value) > _MOST_ENTRIES and key not in _AS_MANY_AS_THERE_ARE:
            return f"`{key}` has {len(value):,} entries, and at most {_MOST_ENTRIES:,} are read"
        if isinstance(value, dict):
            pending += [("", name) for name in value]
            pending += value.items()
        elif isinstance(value, list):
            pending += [(key, each) for each in value]
    return ""


def _not_ours(read: _Document) -> str:
    """What a document of the right types holds that no run leaves; nothing if there is no such thing."""
    if read.breaking is not None and read.rows and all(row.breaking_point is None for row in read.rows):
        return "it tells of breaking points, and has none"
    counts = [read.job.number, read.data.samples]
    for row in read.rows:
        counts += [row.seed, row.non_finite_outputs, row.touched, row.changed, row.evaluations, row.output_numbers]
        counts += (row.flips or {}).values()
        counts += [count for each in row.by_output.values() for count in (each.non_finite, each.numbers)]
    counts += read.classes.values()
    level: list[Any] = [read.parameters, counts]
    for _ in range(_DEEPEST):
        if any(isinstance(each, int) and abs(each) > _LARGEST for each in level):
            return "a whole number is too large"
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return ""
    return _TOO_DEEP


def _result(read: _Document) -> Result:
    return Result(
        engine=read.engine,
        job=JobInfo(read.job.number, read.job.overrides, read.job.directory, read.job.call),
        plan_name=read.plan.name,
        plan_digest=read.plan.digest,
        parameters=read.parameters,
        mode=read.mode,
        model=read.model.path,
        structure_digest=read.model.structure_digest,
        data=read.data.name,
        samples=read.data.samples,
        objective=read.objective,
        base=_floats(read.base),
        rows=tuple(
            Row(
                seed=row.seed,
                metrics=_floats(row.metrics),
                drop=_floats(row.drop),
                agreement=_float(row.agreement),
                non_finite_outputs=row.non_finite_outputs,
                touched=row.touched,
                changed=row.changed,
                seconds=_within(row.seconds),
                flips=row.flips,
                divergence=_float(row.divergence),
                deviation=_float(row.deviation),
                breaking_point=_float(row.breaking_point),
                holds_at=_float(row.holds_at),
                evaluations=row.evaluations,
                sample_agreement=_float(row.sample_agreement),
                output_numbers=row.output_numbers,
                by_output={name: _output(each) for name, each in row.by_output.items()},
                changed_nothing=row.changed_nothing,
            )
            for row in read.rows
        ),
        value=_float(read.value),
        objectives=_floats(read.objectives),
        breaking=None if read.breaking is None else Breaking(**msgspec.structs.asdict(read.breaking)),
        gates=tuple(
            Verdict(each.metric, each.bound, float(each.limit), _within(float(each.value)), each.seed, each.holds)
            for each in read.gates
        ),
        output=read.output,
        warnings=read.warnings,
        error=read.error,
        environment=read.environment,
        inputs_digest=read.inputs_digest,
        effect_digest=read.plan.effect_digest,
        recipe=read.plan.recipe,
        recipe_digest=read.plan.recipe_digest,
        weights_digest=read.model.weights_digest,
        data_digest=read.data.digest,
        input_digests=read.inputs,
        evaluate_digest=read.evaluate_digest,
        classes=read.classes,
        units=read.units,
        directions=dict(read.directions),
    )


def _output(read: _Output) -> OutputRow:
    agreement, divergence, deviation = map(_float, (read.agreement, read.divergence, read.deviation))
    return OutputRow(agreement, divergence, deviation, read.non_finite, read.numbers)


MOST = 1e70
"""Of a measured number: a report works with fourth powers of them, and these must be finite. Beyond it all is infinite,
and what is nearer to 0 than the inverse is 0."""


def _float(number: float | str | None) -> float | None:
    return None if number is None else _within(float(number))


def _floats(numbers: Mapping[str, float | str]) -> dict[str, float]:
    return {name: _within(float(number)) for name, number in numbers.items()}


def _within(number: float) -> float:
    """A number that reports can work with."""
    if abs(number) > MOST:
        return math.copysign(math.inf, number)
    return 0.0 if abs(number) < 1 / MOST else number


def _lowered(text: str) -> str:
    """A message of msgspec as ours begin: in lower case, but for JSON and the like."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
