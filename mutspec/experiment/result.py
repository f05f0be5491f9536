"""The result of a job of a run or sweep, as a value and as the file `result.json` in the job's folder."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mutspec.documents import Count, Number, as_json, document_schema, json_bytes, number
from mutspec.errors import CallError
from mutspec.execute.output import replacing, write_at, write_problem
from mutspec.experiment.gates import BOUNDS, Bound, Verdict
from mutspec.experiment.result_limits import LARGEST_FILE, TOO_DEEP, excess
from mutspec.language.files import about

FORMAT_VERSION = 2
"""Of `result.json`. Version 1 has no digests of weights, data and recipes: there names say what is the same."""
READ_VERSIONS = (1, 2)

FIDELITY = ("agreement", "sample_agreement", "divergence", "deviation")
"""The measures of a row that say how closely the mutant's outputs follow its base's."""

AGREEMENTS = FIDELITY[:2]
"""Those that are parts of the choices or samples, of which a base has all."""

BREAKING_POINT = "breaking_point"
"""The measure of a row that a search for breaking points finds."""

FILE_NAME = "result.json"
"""The file in a job's folder."""


class JobInfo(Struct, frozen=True):
    """The job's place in the sweep."""

    number: Annotated[Count | None, Meta(description="Its number in the sweep, from 0; null for a single run.")]
    overrides: Annotated[
        tuple[str, ...],
        Meta(
            description="The overrides that the call or the sweep set, as `key=value`.",
            examples=[["plan.params.std=0.01"]],
        ),
    ]
    directory: Annotated[str, Meta(description="Its output folder.")]
    call: Annotated[
        str,
        Meta(
            description="The time at which its call began, in UTC: the jobs of one call share it; empty if it is not "
            "known.",
            examples=["2026-01-31T12:00:00.000000"],
        ),
    ] = ""


class PlanInfo(Struct, frozen=True):
    """The plan, resolved: overrides are part of it."""

    name: Annotated[str, Meta(description="Its name; empty if the job failed before it was known.")]
    digest: Annotated[
        str,
        Meta(description="A digest of its resolved content; equal digests mean equal mutants of one model."),
    ]
    effect_digest: Annotated[
        str,
        Meta(
            description="A digest of what the plan does, without its seed, name, description and metadata: mutants of "
            "one model that have the same one differ by their seed alone; empty if the job failed."
        ),
    ] = ""
    recipe: Annotated[
        str,
        Meta(
            description="The recipe that the call chose; empty if the plan came from Python.",
            examples=["dense_noise", "paper/noise"],
        ),
    ] = ""
    recipe_digest: Annotated[
        str,
        Meta(
            description="A digest of the plan as it was written, before the call set anything, without the values of "
            "its parameters; empty if the job failed."
        ),
    ] = ""


class ModelInfo(Struct, frozen=True):
    """The model that was mutated."""

    path: Annotated[str, Meta(description="The model, as the call named it.")]
    structure_digest: Annotated[str, Meta(description="A digest of layers, calls and tensors, without values.")]
    weights_digest: Annotated[
        str,
        Meta(
            description="A digest of the paths, shapes, dtypes and bits of its weights, the same for a file and the "
            "live model in it; empty if the job failed."
        ),
    ] = ""
    parameters: Annotated[
        Count | None, Meta(description="The number of entries of its weights; null if that is not known.")
    ] = None
    multiply_adds: Annotated[
        Count | None,
        Meta(description="The multiply–adds that it takes to predict one sample; null if they are not known."),
    ] = None


class DataInfo(Struct, frozen=True):
    """The data that base and mutant were evaluated on."""

    name: Annotated[
        str,
        Meta(description="The data, as the call named it; empty if nothing was evaluated.", examples=["digits"]),
    ]
    samples: Annotated[Count, Meta(description="The number of samples.")]
    digest: Annotated[
        str, Meta(description="A digest of the arrays as they were used; empty if nothing was evaluated.")
    ] = ""


class OutputRow(Struct, frozen=True):
    """The measures of one of several outputs: see `fidelity.OutputFidelity`."""

    agreement: Annotated[
        Number | None,
        Meta(
            description="The part of its choices in which the mutant says what the base says; null if it was not "
            "measured."
        ),
    ]
    divergence: Annotated[
        Number | None,
        Meta(
            description="The mean Kullback–Leibler divergence of its classes from the base's, in nats; null if it was "
            "not measured."
        ),
    ]
    deviation: Annotated[
        Number | None,
        Meta(description="The mean of |mutant − base| over its numbers; null if it was not measured."),
    ]
    non_finite: Annotated[Count, Meta(description="How many of its numbers are infinite or NaN.")]
    numbers: Annotated[Count, Meta(description="How many numbers it has.")]


class Row(Struct, frozen=True):
    """The measures of one mutant, of one seed: see `fidelity.Fidelity`."""

    seed: Annotated[Count, Meta(description="The plan's seed.")]
    metrics: Annotated[
        dict[str, Number],
        Meta(description="The mutant's loss and metrics by name; empty if nothing was evaluated."),
    ]
    drop: Annotated[dict[str, Number], Meta(description="For each metric, the base's minus the mutant's.")]
    agreement: Annotated[
        Number | None,
        Meta(
            description="The part of the choices, 0 to 1, in which the mutant says what the base says; of several "
            "outputs the mean over them; null if it was not measured."
        ),
    ]
    non_finite_outputs: Annotated[
        Count, Meta(description="How many numbers in the mutant's outputs are infinite or NaN.")
    ]
    touched: Annotated[Count, Meta(description="The number of entries that the plan chose.")]
    changed: Annotated[Count | None, Meta(description="The number of entries whose bits changed; null in a dry-run.")]
    seconds: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="How long mutating and evaluating took, at all scales that were tried."),
    ]
    flips: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]] | None,
        Meta(
            description="By class of the base, how many choices of it the mutant changed, of as many as `classes` "
            "says; null if it was not measured."
        ),
    ] = None
    divergence: Annotated[
        Number | None,
        Meta(
            description="The mean Kullback–Leibler divergence of the mutant's classes from the base's, in nats; of "
            "several outputs the mean over them; null if it was not measured."
        ),
    ] = None
    deviation: Annotated[
        Number | None,
        Meta(
            description="The mean of |mutant − base| over the numbers of the outputs; of several outputs the mean over "
            "them; null if it was not measured."
        ),
    ] = None
    breaking_point: Annotated[
        Number | None,
        Meta(
            description="The least scale found at which the mutant breaks, which is the mutant that the row is about; "
            '"inf" if it holds at the greatest one; null if nothing was searched for.'
        ),
    ] = None
    holds_at: Annotated[
        Number | None,
        Meta(description="The scale before it, at which the mutant holds; null if nothing was searched for."),
    ] = None
    evaluations: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many scales were tried; null if nothing was searched for."),
    ] = None
    sample_agreement: Annotated[
        Number | None,
        Meta(
            description="The part of the samples, 0 to 1, of which the mutant says in every choice of every output "
            "what the base says; null if it was not measured."
        ),
    ] = None
    output_numbers: Annotated[
        Count | None,
        Meta(description="How many numbers the mutant's outputs have; null if nothing was evaluated."),
    ] = None
    by_output: Annotated[
        dict[str, OutputRow],
        Meta(description="The measures of each output, if there are several; else empty."),
    ] = {}
    changed_nothing: Annotated[
        bool | None,
        Meta(
            description="Whether the mutant surely predicts what the base does, as the plan changes no weight and no "
            "layer that acts in predictions; null if that is not known."
        ),
    ] = None
    parameters: Annotated[
        Count | None, Meta(description="The number of entries of the mutant's weights; null if that is not known.")
    ] = None
    multiply_adds: Annotated[
        Count | None,
        Meta(
            description="The multiply–adds that it takes the mutant to predict one sample; null if they are not known."
        ),
    ] = None

    @property
    def is_unchanged(self) -> bool:
        """Tells whether the mutant predicts what its base does; for older results by what they count and measure."""
        if self.changed_nothing is not None:
            return self.changed_nothing
        return self.touched > 0 and self.changed == 0 and self.deviation == 0


class Breaking(Struct, frozen=True):
    """The meaning of breaking in a search for breaking points: a measure is out of its bounds."""

    key: Annotated[str, Meta(description="The key of the number that was scaled.", examples=["params.std"])]
    metric: Annotated[str, Meta(description="The measure that breaks.", examples=["accuracy"])]
    bounds: Annotated[
        dict[Bound, float],
        Meta(
            description="Its bounds, as a gate states them: the least value, the greatest, or how far it may be below "
            "its base.",
            min_length=1,
            examples=[{"max_drop": 0.1}],
            extra_json_schema={"propertyNames": {"enum": list(BOUNDS)}},  # which msgspec checks and leaves out
        ),
    ]
    tolerance: Annotated[
        Annotated[float, Meta(gt=0)],
        Meta(description="How far apart, relatively, a scale that holds and one that breaks may be."),
    ]

    def __str__(self) -> str:
        """A clause: `accuracy falls by more than 0.1`."""
        said = {"min": "is below", "max": "is above", "max_drop": "falls by more than"}
        name = self.metric.replace("_", " ")
        return f"{name} {' or '.join(f'{said[bound]} {limit:.4g}' for bound, limit in self.bounds.items())}"


class Result(Struct, frozen=True, kw_only=True):
    """The result of a job of `mutspec run`: the file `result.json` in the job's folder."""

    engine: Annotated[str, Meta(description="The engine's name and version.", examples=["mutspec 0.1.0"])]
    job: JobInfo
    plan: PlanInfo
    parameters: Annotated[
        dict[str, Any],
        Meta(description="The plan's parameters by name, resolved. Numbers that are not finite are strings."),
    ]
    units: Annotated[
        dict[str, str],
        Meta(
            description="The units of the plan's numbers, by the names of settings. `%` is a part of something. "
            "Results of older versions have none.",
            examples=[{"params.std": "× std of the weight"}],
        ),
    ] = {}
    mode: Annotated[
        str,
        Meta(description="What was done.", examples=["apply", "breaking_point", "diff", "dry_run"]),
    ]
    model: ModelInfo
    data: DataInfo
    inputs: Annotated[
        dict[str, str],
        Meta(
            description="A digest of the weights of each model that the plan takes from, by the input's name.",
        ),
    ] = {}
    evaluate_digest: Annotated[
        str,
        Meta(
            description="A digest of the loss and the metrics that it was evaluated by, and of their code as far as it "
            "is the user's own; empty if nothing was evaluated."
        ),
    ] = ""
    objective: Annotated[
        str,
        Meta(
            description="The metric that the job returns, of several the first; empty if nothing was evaluated.",
            examples=["accuracy", "breaking_point"],
        ),
    ]
    value: Annotated[
        Number | None,
        Meta(description="The mean of the objective over the rows; null if the job failed or evaluated nothing."),
    ]
    objectives: Annotated[
        dict[str, Number],
        Meta(description="The means over the rows of all that the job returns, by name; empty if there is no value."),
    ] = {}
    directions: Annotated[
        dict[str, Literal["minimize", "maximize"]],
        Meta(
            description="The direction of each objective, for a sweeper that optimises; empty for others.",
            examples=[{"agreement": "maximize"}],
        ),
    ] = {}
    base: Annotated[dict[str, Number], Meta(description="The base model's loss and metrics by name.")]
    rows: Annotated[tuple[Row, ...], Meta(description="One for each seed; empty if the job failed.")]
    breaking: Annotated[
        Breaking | None,
        Meta(description="The goal of a search for breaking points; null if there was none."),
    ] = None
    gates: Annotated[tuple[Verdict, ...], Meta(description="Whether what `require` says holds, for all seeds.")] = ()
    output: Annotated[str | None, Meta(description="The mutant's file; null if it was not saved.")]
    warnings: Annotated[tuple[str, ...], Meta(description="What the user should know, one sentence each.")]
    error: Annotated[str | None, Meta(description="Why the job failed; null if it did not.")]
    environment: Annotated[
        dict[str, str],
        Meta(
            description="The platform, and the versions of Python and of the packages that take part; empty if the "
            "job failed."
        ),
    ] = {}
    inputs_digest: Annotated[
        str,
        Meta(
            description="A digest of all that the job depends on, by which `resume` knows that it is done; empty if "
            "the job failed."
        ),
    ] = ""
    classes: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]],
        Meta(
            description="How many choices of the base are of each class, which is called as in `flips`; empty if that "
            "was not measured."
        ),
    ] = {}

    @property
    def failed_gates(self) -> tuple[Verdict, ...]:
        """The gates that do not hold."""
        return tuple(verdict for verdict in self.gates if not verdict.holds)

    def to_json(self) -> dict[str, Any]:
        """Returns the document that `schemas/result.schema.json` describes."""
        return {"format_version": FORMAT_VERSION, **as_json(self)}

    def write(self, folder: Path | str) -> Path:
        """Writes `result.json` into a folder, which is made if it is missing; a file that is there is replaced.

        Returns:
            The file's path.

        Raises:
            EnvironmentProblem: it cannot be written; what was there is as it was.
        """
        path = Path(folder) / FILE_NAME
        write_whole(path, json_bytes(self.to_json()))
        return path


def result_schema() -> dict[str, Any]:
    """Returns `schemas/result.schema.json`."""
    before = "In version 1 there were no digests of effects, recipes, weights, data and inputs."
    return document_schema(Result, "mutspec result", FORMAT_VERSION, before)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; its folder is made if it is missing, a file that is there is replaced.

    The call does not wait for the disk: in a sweep of small models that would take as long as the mutants.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_problem(error, path) from error
    with replacing(path, force=True, is_lasting=False) as (descriptor, _):
        write_at(descriptor, data, 0)


class OtherVersionError(CallError):
    """A file is a result, in a format that this mutspec does not read."""


def read(path: Path | str) -> Result:
    """Returns the result in a file.

    Keys that `Result` does not have are passed over: a later mutspec may add some.

    Raises:
        CallError: the file cannot be read, is damaged, or is not a result.
        OtherVersionError: it has a format that is not read.
    """
    name = os.fspath(path)
    try:
        if Path(path).exists() and not Path(path).is_file():  # to read a pipe would wait for ever
            raise CallError(about(name, "the result is not a file"))
        if (size := Path(path).stat().st_size) > LARGEST_FILE:
            raise CallError(
                about(name, f"the result is damaged: {size:,} bytes, and at most {LARGEST_FILE:,} are read")
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
        raise CallError(about(name, f"the result is damaged: {TOO_DEEP}", again)) from None
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        message = "this is not a result of mutspec: it has no format_version"
        raise CallError(about(name, message, "delete or rename it"))
    if version not in READ_VERSIONS:
        message = f"the result has format version {version}, and this mutspec reads versions 1 and {FORMAT_VERSION}"
        raise OtherVersionError(about(name, message, "read it with the mutspec that wrote it, or run the job again"))
    try:
        result = msgspec.convert(content, Result, dec_hook=_number)
        problem = excess(content) or _contradiction(result)
    except msgspec.ValidationError as error:
        problem = _lowered(str(error))
    if problem:
        raise CallError(about(name, f"the result is damaged: {problem}", again))
    return result


def _contradiction(result: Result) -> str:
    """Returns the contradiction in a result; empty if there is none."""
    if result.breaking is not None and result.rows and all(row.breaking_point is None for row in result.rows):
        return "it describes a search for breaking points, and has none"
    return ""


MOST = 1e70
"""Of a measured number: a report works with fourth powers of them, and these must be finite. Beyond it all is infinite,
and what is nearer to 0 than the inverse is 0."""


def _number(type_: type[Any], value: Any) -> float:
    """Reads a number that reports can work with."""
    read = number(type_, value)
    if abs(read) > MOST:
        return math.copysign(math.inf, read)
    return 0.0 if abs(read) < 1 / MOST else read


def _lowered(text: str) -> str:
    """A message of msgspec in the form of ours: in lower case, but for JSON and the like."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
