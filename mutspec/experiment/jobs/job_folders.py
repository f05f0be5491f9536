"""The jobs of a sweep and their folders: what these are called, and that each job has one of its own."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import MISSING, DictConfig

from mutspec.errors import CallError, Problem
from mutspec.experiment.jobs.configuration import task_overrides
from mutspec.experiment.jobs.template import parsed

LONGEST = 120
"""The greatest length of a job folder's name, in characters; file systems allow 255 bytes."""


def folder_name(fixed: Sequence[str], overrides: Sequence[str]) -> str:
    """Returns the name of a job's folder: the overrides that the call leaves open, `std=0.01,seed=2`.

    Of overrides of one key the last one counts, as to Hydra.

    Arguments:
        fixed: the overrides of the call, those that are swept over among them.
        overrides: the overrides of the job.
    """
    varying = _varying(fixed, overrides)
    short = [key.removeprefix("plan.").removeprefix("params.").removeprefix("steps.") for key in varying]
    names = [name if short.count(name) == 1 else key for name, key in zip(short, varying, strict=True)]
    pairs = zip(names, varying.values(), strict=True)
    written = ",".join(f"{name}={each.get_value_element_as_str()}" for name, each in pairs) or "job"
    safe = re.sub(r"[^A-Za-z0-9_.,=+@%-]+", "_", written)
    if safe == written and len(safe) <= LONGEST:
        return safe
    digest = hashlib.blake2b(written.encode(), digest_size=4).hexdigest()  # other texts must not share the folder
    return f"{safe[:LONGEST]}-{digest}"


def swept_keys(fixed: Sequence[str], overrides: Sequence[str]) -> frozenset[str]:
    """Returns the keys that the call leaves open to its jobs. Arguments: as for `folder_name`."""
    return frozenset(_varying(fixed, overrides))


def _varying(fixed: Sequence[str], overrides: Sequence[str]) -> dict[str, Override]:
    constant = {key for key, each in _last(fixed).items() if not each.is_sweep_override()}
    return {key: each for key, each in _last(overrides).items() if _is_open(each, constant)}


def _last(lines: Sequence[str]) -> dict[str, Override]:
    return {each.key_or_group: each for each in map(parsed, lines)}


def _is_open(override: Override, constant: set[str]) -> bool:
    return override.key_or_group not in constant and not override.is_hydra_override()


def jobs_of(config: DictConfig, loader: ConfigLoader) -> list[list[str]]:
    """Returns the overrides of each job that Hydra's own sweeper will make of a configuration, as it makes them."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=loader)
    jobs: list[list[str]]
    (jobs,) = BasicSweeper.split_arguments(
        parser.parse_overrides([*params, *task_overrides(config.hydra)]), max_batch_size=None
    )
    return jobs


@dataclass
class JobFolders:
    """The folders of the jobs that have been composed.

    Arguments:
        jobs: the overrides of each job, by its folder.
    """

    jobs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def claim(self, config: DictConfig, job: tuple[str, ...]) -> str:
        """Notes the folder that a job's configuration gives it, and returns it.

        Raises:
            CallError: another job has it, so that one's result would replace the other's; or it is not the sweep's.
        """
        hydra = config.hydra
        hydra.job.id = hydra.job.num = len(self.jobs)  # the launcher numbers jobs later, and the folder may name it
        folder = os.path.normpath(str(hydra.sweep.subdir))
        hydra.job.id = hydra.job.num = MISSING
        if os.path.isabs(folder) or folder.split(os.sep)[0] == os.pardir:
            message = f"the job's folder `{folder}` is outside of the sweep's, where no report would find it"
            raise CallError(message, hint="hydra.sweep.subdir is a path below hydra.sweep.dir")
        other = self.jobs.setdefault(folder, job)
        if other is not job and _last(other) != _last(job):
            raise CallError(_shared(folder, other, job))
        return folder


def _shared(folder: str, one: tuple[str, ...], other: tuple[str, ...]) -> Problem:
    """Returns the problem that two jobs have one folder."""
    two = (" ".join(each for each in job if each not in rest) for job, rest in ((one, other), (other, one)))
    both = " and ".join(f"`{differs}`" for differs in two)
    hint = "let hydra.sweep.subdir name what varies, as its default ${hydra.job.override_dirname} does"
    return Problem(f"the jobs {both} have the same folder, `{folder}`", hint=hint)
