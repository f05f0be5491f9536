"""Progress of a sweep while it runs: read from the files that its jobs leave, so that any launcher may run them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from mutspec.errors import CallError
from mutspec.experiment.jobs.resume import Since
from mutspec.experiment.result import FILE_NAME, Result, read


@dataclass(frozen=True)
class Extreme:
    """The job with the least or the greatest objective.

    Arguments:
        value: of the objective.
        folder: the job's, which is called by what varies.
    """

    value: float
    folder: str


@dataclass(frozen=True)
class SweepProgress:
    """The progress of a sweep.

    Arguments:
        jobs: the number of jobs, as far as the sweeper has said.
        done: the number of jobs that have left a result, including those that were done before the call.
        failed: the number of these that failed.
        refused: the number of these whose mutants fail a gate.
        objective: the measure that counts; empty if none is known yet.
        lowest, highest: None if no job has the objective yet.
    """

    jobs: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0
    objective: str = ""
    lowest: Extreme | None = None
    highest: Extreme | None = None

    def with_result(self, result: Result, folder: str) -> SweepProgress:
        """Returns the progress after one more job."""
        after = replace(
            self,
            done=self.done + 1,
            failed=self.failed + (result.error is not None),
            refused=self.refused + bool(result.failed_gates),
        )
        if result.value is None or math.isnan(result.value):
            return after
        here = Extreme(result.value, folder)
        return replace(
            after,
            objective=result.objective,
            lowest=here if self.lowest is None or here.value < self.lowest.value else self.lowest,
            highest=here if self.highest is None or here.value > self.highest.value else self.highest,
        )


class SweepMonitor:
    """Reads the progress of a sweep.

    Arguments:
        jobs: returns the number of jobs.
        since: returns what has happened in the sweep's folder.
    """

    def __init__(self, jobs: Callable[[], int], since: Callable[[], Since]) -> None:
        self._jobs = jobs
        self._since = since
        self._seen: set[str] = set()
        self._progress = SweepProgress()

    def progress(self) -> SweepProgress:
        """Returns the progress now. Each result is read once, and is not kept."""
        since = self._since()
        if since.before.folder is not None:
            for name in set(since.done) - self._seen:
                with suppress(CallError):  # it is damaged, or being written again
                    result = read(since.before.folder / name / FILE_NAME)
                    self._progress = self._progress.with_result(result, name)
                    self._seen.add(name)
        return replace(self._progress, jobs=max(self._jobs(), self._progress.done))
