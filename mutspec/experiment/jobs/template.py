"""A sweep's jobs, composed without reading the same files again.

Hydra 1.3 composes in two steps (`ConfigLoaderImpl._load_configuration_impl`): it merges the files of the chosen groups,
then overrides set values in the outcome. The first step takes nearly all of the time, and is the same for all jobs that
choose the same. So its outcome is kept as a template, and each job sets its values in a copy. A job's configuration is
the one that Hydra would compose.
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
"""The number of templates that are kept. Each takes some 13 kB, and a sweep over plans has one for each of them."""


@lru_cache(maxsize=10_000)
def parsed(line: str) -> Override:
    """Returns an override as Hydra reads it. The jobs of a grid have most of theirs in common.

    Raises:
        OverrideParseException: it cannot be read.
    """
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


def replacing(line: str) -> list[str]:
    """Returns an override; before it one that empties its key, if Hydra would merge a mapping into a list.

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
        """Returns the configuration of a job.

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
        # The second step, as Hydra 1.3 does it. `_load_configuration_impl` cannot be asked for it alone.
        ConfigLoaderImpl._apply_overrides_to_config(setting, config)
        _describe(config, [each for each in given if not each.is_hydra_override()])
        return config

    def _keep(self, chosen: tuple[str, ...], config: DictConfig) -> None:
        """Keeps a configuration as a template.

        In workers of joblib Hydra loads its plug-ins twice, and what is made of their classes cannot be pickled.
        """
        with suppress(pickle.PicklingError):
            pickled = pickle.dumps(config)
            if len(self.pickled) >= MOST_KEPT:
                self.pickled.pop(next(iter(self.pickled)))
            self.pickled[chosen] = pickled

    def _sets_a_value(self, override: Override) -> bool:
        """Tells whether an override sets a value of the task, as Hydra decides it; else it is about groups or Hydra."""
        is_choice = self.groups[override.key_or_group] and not isinstance(override.value(), dict)
        return not is_choice and not override.is_hydra_override()


def _describe(config: DictConfig, task: Sequence[Override]) -> None:
    """Sets what Hydra's part of a configuration says about its job, except for the name of the job's folder."""
    hydra = config.hydra
    hydra.overrides.task = [each.input_line for each in task]
    if hydra.runtime.cwd != os.getcwd():  # a launcher may have sent the template to another process
        hydra.runtime.cwd = os.getcwd()
    with open_dict(hydra):
        # As Hydra 1.3 does for each job: the variables may have changed since the template was made.
        for name in hydra.job.env_copy:
            hydra.job.env_set[name] = os.environ[name]
