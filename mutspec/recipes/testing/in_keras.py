"""What only Keras tells of a test's models: what they predict, and how good they are on data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mutspec.errors import Problem
from mutspec.execute.checked import ComparedOutputs, compare_outputs
from mutspec.execute.loading import model_of
from mutspec.execute.prepare import Prepared
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.data.loading import load_data
from mutspec.experiment.data.sources import named_arrays
from mutspec.experiment.gates import Gate
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.session import Session, opened
from mutspec.experiment.trial import Trials
from mutspec.language import Plan
from mutspec.lowering.base import Op
from mutspec.model.files.archive import Archive
from mutspec.recipes.testing.reading import DIGITS, Case

_DATA = "mutspec.experiment.data"


class KerasModels:
    """The models and data that the tests of a call have loaded, each once."""

    def __init__(self) -> None:
        self._models: dict[Path, Any] = {}
        self._data: dict[str, Data] = {}
        self._sessions: dict[tuple[Path, str, Any], Session] = {}

    def arrays(self, case: Case) -> Any:
        """Returns the inputs in a test's data, for steps that rank by activation.

        Raises:
            CallError: the data cannot be read.
        """
        assert isinstance(case.test.data, str)
        if case.test.data != DIGITS:
            found = named_arrays(case.file.path.parent / case.test.data)
            return found.get("x", found)
        return self._data_of(case).x

    def _data_of(self, case: Case) -> Data:
        assert isinstance(case.test.data, str)
        name = case.test.data
        settings = {"_target_": f"{_DATA}.digits"}
        if name != DIGITS:
            settings = {"_target_": f"{_DATA}.npz", "path": str(case.file.path.parent / name)}
        key = settings.get("path", name)
        if key not in self._data:
            self._data[key] = load_data(settings)
        return self._data[key]

    def compared(
        self, prepared: Prepared, base: Archive, mutant: Archive, inputs: Mapping[str, Path]
    ) -> ComparedOutputs:
        """Returns how what a mutant predicts compares with what its base does; see `compare_outputs`."""
        return compare_outputs(prepared, self._base(base), model_of(mutant).model, inputs)

    def _base(self, archive: Archive) -> Any:
        if archive.path not in self._models:
            self._models[archive.path] = model_of(archive).model
        return self._models[archive.path]

    def missed_gates(self, case: Case, plan: Plan[Op], base: Archive, inputs: Mapping[str, Path]) -> Iterator[Problem]:
        """Yields a problem for each bound that a mutant misses, with the number of its gate at the start of its path.

        Raises:
            CallError: a measure is not known, or the data do not fit the model.
        """
        gates = [Gate(each.metric, each.min, each.max, each.max_drop) for each in case.test.expect.gates or ()]
        trials = Trials(self._session(case, base), gates)
        with trials.mutant(plan, inputs) as trial:
            verdicts = trials.verdicts([trial.row])
        numbers = (number for number, gate in enumerate(gates) for _ in gate.bounds)
        for number, verdict in zip(numbers, verdicts, strict=True):
            if not verdict.holds:
                yield Problem(str(verdict), path=(number, verdict.bound))

    def _session(self, case: Case, base: Archive) -> Session:
        how = case.test.evaluate
        key = (base.path, str(case.test.data), how)
        if key not in self._sessions:
            settings = EvaluateSettings(
                how.loss, list(how.metrics), from_logits=how.from_logits, batch_size=how.batch_size
            )
            model, data = self._base(base), self._data_of(case)
            self._sessions[key] = opened(model, data, settings, unsafe=False)
        return self._sessions[key]
