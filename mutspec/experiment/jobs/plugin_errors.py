"""Errors of the packages that Hydra's plug-ins need: those that are not installed, and those that refuse to work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from traceback import walk_tb

from mutspec.errors import CallError, EnvironmentProblem, MutspecError, Place, Problem
from mutspec.experiment.jobs.mistakes import place_of
from mutspec.experiment.jobs.overridden import Given

EXTRAS = {
    "launcher/joblib": "joblib",
    "launcher/submitit_local": "slurm",
    "launcher/submitit_slurm": "slurm",
    "launcher/ray": "ray",
    "launcher/ray_aws": "ray",
    "sweeper/optuna": "optuna",
}
"""Options of Hydra's groups that come with packages, by the extra of ours that installs them."""
_MEANINGS: dict[str, tuple[type[MutspecError], str, str]] = {
    "sqlalchemy": (CallError, "the study cannot be kept there", "hydra.sweeper.storage"),
    "optuna": (CallError, "the sweeper refuses this", "hydra/sweeper"),
    "submitit": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
    "ray": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
    "joblib": (EnvironmentProblem, "the launcher cannot run the jobs", "hydra/launcher"),
}
"""Packages that plug-ins work with: what their errors mean, and the key of the call that has chosen them."""


def not_installed(group: str, option: str, place: Place | None) -> Problem | None:
    """Returns what is wrong with an option that comes with a package; None if it does not."""
    extra = EXTRAS.get(f"{group}/{option}".removeprefix("hydra/"))
    if extra is None:
        return None
    message = f"{group}={option} needs a package that is not installed"
    return Problem(message, place, hint=f"pip install 'mutspec[{extra}]'")


def error_of_package(error: BaseException, given: Sequence[Given]) -> MutspecError | None:
    """Returns an error of a launcher's or a sweeper's package as one of ours; None if it is not one."""
    roots = (each.partition(".")[0] for each in (type(error).__module__, raised_in(error)))
    package = next((root for root in roots if root in _MEANINGS), None)
    if package is None:
        return None
    kind, meaning, key = _MEANINGS[package]
    sentence = re.split(r"\n(?![a-z])", str(error).strip())[0]  # submitit breaks lines in the middle of one
    said = " ".join(sentence.split()) or type(error).__name__
    return kind(f"{meaning}: {said[:1].lower()}{said[1:].rstrip('.')}", place=place_of(key, given))


def raised_in(error: BaseException) -> str:
    """Returns the name of the module whose code raised an error."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""
