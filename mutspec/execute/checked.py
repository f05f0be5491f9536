"""Checks a mutant in Keras before its file gets its name: shapes, finite outputs, and what the steps claim.

Base and mutant are called on the same random inputs. If something fails, the plan is applied up to each step, to find
the step after which it fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mutspec.errors import CallError, CheckError, ModelError, PlanError, Problem
from mutspec.execute.files import apply, open_for, prepare_archives
from mutspec.execute.live import apply as apply_live
from mutspec.execute.loading import model_of
from mutspec.execute.output import put_both_in_place
from mutspec.execute.prepare import Prepared
from mutspec.execute.temporary import temporary_name
from mutspec.interrupts import held_interrupts
from mutspec.language.plan import Plan
from mutspec.language.types import NonFinite, Selector
from mutspec.lowering.base import Op, is_structural
from mutspec.lowering.claims import SamePredictions
from mutspec.model.files.formats import FORMATS
from mutspec.model.files.opening import open_archive
from mutspec.model.files.provenance_file import sidecar_of
from mutspec.model.live import InputPort, input_ports, predict, read_live
from mutspec.model.select import NothingMatched, SelectorIndex, exact_pattern
from mutspec.model.spec import ModelSpec
from mutspec.show.check import ClaimCheck, MutantCheck
from mutspec.show.report import Report

Outputs = tuple[Any, ...]
Model = Any

_BATCH = 2
_EXTENTS = (12, 96)
"""The sizes tried for the free axes of random inputs. The first one with which the mutant can be called is taken."""
_SMALLEST_SCALE = 1e-3
"""Differences are compared with the largest output, but with no less than this."""
_HALF_PRECISION = 2e-2
"""The tolerance of claims for models that compute in half precision, whose numbers have 8 to 11 bits."""
_WORDS = np.array(["a", "bb", "ccc", "dddd"], dtype=object)


def apply_checked(
    plan: Plan[Op],
    model: Path,
    output: Path,
    *,
    inputs: Mapping[str, Path] | None = None,
    architecture: Path | None = None,
    force: bool = False,
    unsafe: bool = False,
    data: Any = None,
    **options: Any,
) -> Report:
    """Applies a plan to a model file as `apply` does, and checks the mutant in Keras before it becomes the output.

    Arguments:
        plan: the plan.
        model: the model file to mutate.
        output: the file to write.
        inputs: the files of the plan's inputs, by name.
        architecture: a file with the architecture, for a `.weights.h5` model.
        force: whether to replace the output if it exists.
        unsafe: whether code in the model file (Lambda layers) may run. Keras loads it in any case.
        data: as for `apply`.
        options: the other arguments of `apply`.

    Raises:
        CheckError: Keras makes other shapes than the plan; or outputs become infinite or NaN; or a step does not do
            what it claims. Nothing is written then.
        CallError, ModelError, PlanError, EnvironmentProblem: as for `apply`; or the models cannot be called.
    """
    archive, others, kind = open_for(plan, model, output, inputs or {}, architecture, force=force)
    is_whole = FORMATS[kind].is_whole
    prepared = prepare_archives(plan, archive, others, unsafe=unsafe, data=data)
    if not is_whole and is_structural(plan):
        raise CallError(
            "a mutant of another architecture cannot be checked from its weights alone",
            hint="name the output .keras, or leave out --check",
        )
    with _beside(output, force=force) as temporary:
        options |= {"inputs": inputs, "architecture": architecture, "unsafe": unsafe, "data": data}
        report = apply(plan, model, temporary, **options)
        sidecar = report.sidecar and sidecar_of(output)
        base = model_of(archive, unsafe=unsafe).model
        mutant = model_of(open_archive(temporary, architecture=None if is_whole else architecture), unsafe=unsafe).model
        check = _Check(prepared, base, mutant, inputs or {}, unsafe).run()
    said = (replace(each, message=each.message.replace(str(temporary), str(output))) for each in report.warnings)
    return replace(report, output=output, warnings=tuple(said), check=check, sidecar=sidecar)


def compare_outputs(
    prepared: Prepared, base: Model, mutant: Model, inputs: Mapping[str, Path] | None = None
) -> ComparedOutputs:
    """Calls a model and its mutant on the same random inputs, and compares what they predict.

    Arguments:
        prepared: the compiled plan that makes the mutant.
        base: the keras.Model.
        mutant: the mutant, a keras.Model too.
        inputs: the files of the plan's inputs, by name.

    Raises:
        CheckError: Keras makes other shapes than the plan.
        ModelError: the mutant cannot be called.
    """
    return _Check(prepared, base, mutant, inputs or {}, False).compared()


@contextmanager
def _beside(output: Path, *, force: bool) -> Iterator[Path]:
    """Yields a path in a temporary folder beside an output. If all goes well, output and side-car move from there."""
    folder = temporary_name(output)
    folder.mkdir()
    try:
        made, sidecar = folder / output.name, sidecar_of(output)
        yield made
        with ExitStack() as stack:
            opened = made, stack.enter_context(made.open("rb")).fileno()
            beside = None
            if sidecar_of(made).exists():
                beside = sidecar_of(made), stack.enter_context(sidecar_of(made).open("rb")).fileno()
            with held_interrupts():
                put_both_in_place(opened, output, sidecar, beside, force=force)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class ComparedOutputs:
    """How what a mutant predicts compares with what its base does.

    Arguments:
        is_finite: whether what the mutant predicts is finite.
        difference: the largest difference, as a part of the largest output; None if it cannot be told.
        reason: why it cannot be told.
        is_same: whether the difference is rounding.
    """

    is_finite: bool
    difference: float | None
    reason: str = ""
    is_same: bool = False


class _Check:
    """The check of one mutant.

    Arguments:
        prepared: the compiled plan.
        base, mutant: the keras.Models.
        others: the files of the plan's inputs, by name.
        unsafe: whether code in the models may run.
    """

    def __init__(
        self, prepared: Prepared, base: Model, mutant: Model, others: Mapping[str, Path], unsafe: bool
    ) -> None:
        self._program, self._plan, self._data = prepared.program, prepared.program.plan, prepared.data
        self._base, self._mutant = base, mutant
        self._others, self._unsafe = others, unsafe
        self._predictions: dict[int, Outputs | None] = {}

    def run(self) -> MutantCheck:
        """Checks the mutant.

        Raises:
            CheckError: something fails. The error names the step, if it is one.
        """
        self._check_shapes()
        steps = len(self._plan.steps)
        before, after = self._after(0), self._after(steps)
        assert after is not None
        if before is not None and _is_finite(before) and not _is_finite(after):
            self._fail(self._first_not_finite(), "the outputs become infinite or NaN", "")
        claims = tuple(self._claims())
        for number, claim in claims:
            if claim.holds is False:
                exact = claim.float64_difference
                also = "" if exact is None else f", and in float64 it is {exact:.2g}, which is not rounding"
                self._fail(
                    number,
                    f"`{claim.op}` claims that the model predicts the same, but the outputs differ by "
                    f"{claim.difference:.2g} of the largest",
                    f"at most {claim.tolerance:g} is allowed{also}; if you trust the step, leave out --check",
                )
        shapes = {port.name: each.shape for port, each in zip(self._ports, self._inputs, strict=True)}
        tested = tuple(claim for _, claim in claims)
        return MutantCheck(self._plan.seed, shapes, len(after), len(self._program.after.tensors), tested)

    def compared(self) -> ComparedOutputs:
        """Compares the outputs of the mutant with those of the base; see `compare_outputs`."""
        self._check_shapes()
        steps = range(len(self._plan.steps))
        before, after = self._after(0), self._after(len(steps))
        assert after is not None
        is_finite = _is_finite(after)
        if before is None:
            return ComparedOutputs(is_finite, None, "the model cannot be called on what the mutant takes")
        if [each.shape for each in before] != [each.shape for each in after]:
            return ComparedOutputs(is_finite, float("inf"))
        difference = _difference(before, after)
        tolerance = _HALF_PRECISION if self._is_half else SamePredictions().tolerance
        if tolerance < difference < float("inf"):
            claims = dict(self._claims())
            if all(number in claims and claims[number].holds for number in steps):  # the rest is rounding
                tolerance = difference
        return ComparedOutputs(is_finite, difference, "", difference <= tolerance)

    def _fail(self, step: int | None, what: str, hint: str) -> None:
        path = () if step is None else ("steps", step)
        raise CheckError([self._plan.placed(Problem(what, path=path, hint=hint))])

    def _check_shapes(self) -> None:
        """Compares the weights of the mutant with those that the plan makes."""
        found = {tensor.path: tensor.shape for tensor in read_live(self._mutant).spec.tensors}
        for tensor in self._program.after.tensors:
            shape = found.get(tensor.path)
            if shape != tensor.shape:
                made = "has none" if shape is None else f"builds it with shape {shape}"
                raise CheckError(
                    f"the plan makes `{tensor.path}` with shape {tensor.shape}, but Keras {made}",
                    hint="this is a bug of mutspec, or of the op that made the layer",
                )

    def _claims(self) -> Iterator[tuple[int, ClaimCheck]]:
        """Yields the claim of each step that makes one, with the step's number."""
        for number, record in enumerate(self._program.steps):
            if record.claim is not None:
                tolerance = max(record.claim.tolerance, _HALF_PRECISION if self._is_half else 0)
                difference, reason = self._difference(number)
                exact = None
                if difference is not None and tolerance < difference < float("inf") and not self._is_half:
                    exact = self._difference_in_float64(number)
                yield number, ClaimCheck(record.id, record.op, tolerance, difference, reason, exact)

    def _difference(self, step: int) -> tuple[float | None, str]:
        """Returns the largest difference that a step makes, or why that cannot be told."""
        before, after = self._after(step), self._after(step + 1)
        if before is None or after is None:
            return None, "the model between the steps cannot be built or called"
        if [each.shape for each in before] != [each.shape for each in after]:
            return float("inf"), ""
        if not _is_finite(before):
            return None, "the outputs are infinite or NaN already"
        return _difference(before, after), ""

    def _difference_in_float64(self, step: int) -> float | None:
        """Returns the same in float64; None if that cannot be told."""
        from mutspec.execute.float64_check import in_float64, step_in_float64

        try:
            base = in_float64(self._plan, self._base, unsafe=self._unsafe)
            found = step_in_float64(step, self._model(step + 1), lambda steps: self._applied(steps, base), self._inputs)
        except (ModelError, PlanError):
            return None
        return None if found is None else _difference(*found)

    def _first_not_finite(self) -> int | None:
        for number in range(len(self._plan.steps)):
            outputs = self._after(number + 1)
            if outputs is not None and not _is_finite(outputs):
                return number
        return None

    def _after(self, steps: int) -> Outputs | None:
        """Returns the predictions of the model after some steps; None if it cannot be built or called then.

        A step may leave a model that only a later step makes whole.
        """
        if steps not in self._predictions:
            try:
                self._predictions[steps] = predict(self._model(steps), self._inputs)
            except (ModelError, PlanError):
                if steps == len(self._plan.steps):
                    raise
                self._predictions[steps] = None
        return self._predictions[steps]

    def _model(self, steps: int) -> Model:
        if steps in (0, len(self._plan.steps)):
            return self._mutant if steps else self._base
        return self._applied(steps, self._base)

    def _applied(self, steps: int, base: Model) -> Model:
        if not steps:
            return base
        plan, allowed = self._plan.first(steps), NonFinite.REPORT
        options: dict[str, Any] = {"unsafe": self._unsafe, "data": self._data}
        return apply_live(plan, base, inputs=self._others, non_finite=allowed, **options).model

    @cached_property
    def _ports(self) -> tuple[InputPort, ...]:
        return input_ports(self._mutant)

    @cached_property
    def _inputs(self) -> Sequence[Any]:
        """Random inputs that the mutant can be called on; the base too, if no step changes its inputs."""
        specs = (self._program.before, self._program.after)
        for extent in _EXTENTS:
            inputs = [
                _random(port, [_bound(spec, number) for spec in specs], (self._plan.seed, number), extent)
                for number, port in enumerate(self._ports)
            ]
            try:
                predict(self._mutant, inputs)
            except ModelError:
                if extent == _EXTENTS[-1]:
                    raise
            else:
                return inputs
        return ()

    @cached_property
    def _is_half(self) -> bool:
        """Whether any layer of the mutant computes in float16 or bfloat16."""
        return any("16" in str(layer.config.get("dtype", "")) for layer in self._program.after.layers)


def _random(port: InputPort, bounds: Sequence[int | None], seed: tuple[int, int], extent: int) -> Any:
    """Returns a random input: of numbers that an Embedding has rows for, if one comes after it."""
    random = np.random.default_rng(seed)
    shape = [_BATCH if axis == 0 else extent if size is None else size for axis, size in enumerate(port.shape)]
    known = [bound for bound in bounds if bound is not None]
    if port.dtype == "string":
        return random.choice(_WORDS, size=shape)
    if port.dtype == "bool":
        return random.integers(0, 2, size=shape).astype(bool)
    if known or "int" in port.dtype:
        return random.integers(0, min(known, default=8), size=shape).astype(port.dtype)
    return random.normal(size=shape).astype("float32" if port.dtype == "bfloat16" else port.dtype)


def _bound(spec: ModelSpec, number: int) -> int | None:
    """Returns the number of rows of the smallest table that an input may be looked up in; None if there is none."""
    target = Selector(type=("Embedding", "CategoryEncoding"))
    if number < len(spec.inputs):
        name = spec.inputs[number].layer
        outermost = Selector(all=(exact_pattern(name), Selector(type="InputLayer")))
        target = Selector(type=target.type, downstream_of=outermost)
    try:
        layers = SelectorIndex(spec).layers(target).layers
    except (NothingMatched, PlanError):
        return None
    rows = (layer.config.get("input_dim") or layer.config.get("num_tokens") for layer in layers)
    return min((int(each) for each in rows if each), default=None)


def _difference(before: Outputs, after: Outputs) -> float:
    """Returns the largest difference of outputs of the same shapes, as a part of the largest output."""
    return max(map(_relative_difference, before, after), default=0.0)


def _relative_difference(before: Any, after: Any) -> float:
    if before.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(before, after) else float("inf")
    if not before.size:
        return 0.0
    scale = max(float(np.max(np.abs(before))), _SMALLEST_SCALE)
    difference = np.max(np.abs(after.astype(float) - before.astype(float)))
    return float(difference) / scale if np.isfinite(difference) else float("inf")


def _is_finite(outputs: Outputs) -> bool:
    return all(each.dtype.kind != "f" or bool(np.isfinite(each).all()) for each in outputs)
