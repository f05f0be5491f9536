"""A sweep's jobs, composed without reading the same files again.

Hydra composes in two steps: files of the chosen groups are merged, then overrides set values in what came out. The
first step takes nearly all of the time, and is the same for all jobs that choose the same. So its outcome is kept as a
template, of which each job has a copy to set its values in. A job's configuration is what Hydra would make of it.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

MOST_KEPT = 256
"""How many templates are kept. Each takes some 13 kB, and a sweep over plans has one for each of them."""


@lru_cache(maxsize=10_000)
def parsed(line: str) -> Override:
    """An override as Hydra reads it. The jobs of a grid have most of theirs in common.

    Raises:
        OverrideParseException: it cannot be read.
    """
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


def replacing(line: str) -> list[str]:
    """An override, after one that empties its key if Hydra would merge a mapping into the list that is there.

    Metrics are a list, or a mapping by output.
    """
    if not line.lstrip("+").startswith("evaluate.metrics={"):
        return [line]
    return ["++evaluate.metrics=null", line]


@dataclass
class Templates:
    """The templates of a sweep, by the overrides that choose what is in them.

    Arguments:
        pickled: the templates. To read one takes a fifth of the time of a deep copy.
        groups: whether a key is that of a group, for those that were asked about.
    """

    pickled: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    groups: dict[str, bool] = field(default_factory=dict)

    def job(
        self,
        overrides: Sequence[str],
        compose: Callable[[list[str]], DictConfig],
        find_groups: Callable[[set[str]], dict[str, bool]],
    ) -> DictConfig:
        """The configuration of a job.

        Arguments:
            overrides: of the job, Hydra's own settings among them.
            compose: Hydra's way from overrides to a configuration.
            find_groups: which of some keys are those of groups.
        """
        given = [parsed(line) for line in overrides]
        ConfigLoaderImpl.validate_sweep_overrides_legal(given, RunMode.RUN, from_shell=True)
        if unknown := {each.key_or_group for each in given} - self.groups.keys():
            self.groups |= find_groups(unknown)
        setting: list[Override] = []
        choosing: list[Override] = []
        for each in given:
            sets_a_value = self._sets_a_value(each)
            (setting if sets_a_value else choosing).extend(map(parsed, replacing(str(each.input_line))))
        chosen = tuple(str(each.input_line) for each in choosing)
        template = self.pickled.get(chosen)
        config: DictConfig = compose(list(chosen)) if template is None else pickle.loads(template)
        if template is None:
            self._keep(chosen, config)
        ConfigLoaderImpl._apply_overrides_to_config(setting, config)
        _describe(config, [each for each in given if not each.is_hydra_override()])
        return config

    def _keep(self, chosen: tuple[str, ...], config: DictConfig) -> None:
        """Make a template of a configuration.

        In workers of joblib Hydra loads its plug-ins twice, and what is made of their classes cannot be pickled.
        """
        with suppress(pickle.PicklingError):
            pickled = pickle.dumps(config)
            if len(self.pickled) >= MOST_KEPT:
                self.pickled.pop(next(iter(self.pickled)))
            self.pickled[chosen] = pickled

    def _sets_a_value(self, override: Override) -> bool:
        """Whether an override sets a value of the task, as Hydra decides it; else it is about groups or Hydra."""
        is_choice = self.groups[override.key_or_group] and not isinstance(override.value(), dict)
        return not is_choice and not override.is_hydra_override()


def _describe(config: DictConfig, task: Sequence[Override]) -> None:
    """Have what Hydra's part of a configuration says about the job it is for, but for its folder's name."""
    hydra = config.hydra
    hydra.overrides.task = [each.input_line for each in task]
    if hydra.runtime.cwd != os.getcwd():  # a template may have travelled, as launchers' processes have them
        hydra.runtime.cwd = os.getcwd()
    with open_dict(hydra):
        for name in hydra.job.env_copy:
            hydra.job.env_set[name] = os.environ[name]
