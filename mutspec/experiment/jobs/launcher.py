"""`hydra/launcher=mutspec`: runs a sweep's jobs one after the other in this process, with little overhead.

Hydra 1.3's own launcher (`BasicLauncher`, by `hydra.core.utils.run_job`) copies each job's configuration several times,
and keeps two copies of it, in the `JobReturn`, until the sweep ends. Here a job has one configuration, which is freed
after the job. The files that a job leaves in its folder are the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher as HydraLauncher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf._utils import get_omega_conf_dumper

from mutspec.execute.output import write_problem
from mutspec.experiment.jobs.configuration import task_overrides
from mutspec.experiment.jobs.recipes import shown

TARGET = "hydra_plugins.mutspec.Launcher"
"""The launcher's name in the configuration. Hydra takes plug-ins only from the package `hydra_plugins`. There is no
module of that name: Hydra would find it in all applications of an environment, and this launcher needs our loader."""


class Launcher(HydraLauncher):
    """Runs jobs one after the other."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what the jobs have in common."""
        self.context = hydra_context
        self.task = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs a job for each list of overrides."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        run = self._run_as_hydra if self._asks_for_more(self.config.hydra) else self._run_plainly
        return [run(self._composed(number, list(each))) for number, each in enumerate(job_overrides, initial_job_idx)]

    def _composed(self, number: int, overrides: list[str]) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            # As `BasicLauncher` of Hydra 1.3 does: `hydra.sweep.subdir` is made of the number by default.
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _asks_for_more(self, hydra: DictConfig) -> bool:
        """Tells whether a job needs what only Hydra does around it: logs, callbacks, variables, a working folder."""
        has_log = hydra.job_logging is None or hydra.job_logging.get("root") is not None or hydra.verbose
        has_variables = hydra.job.env_set or hydra.job.env_copy
        return bool(has_log or has_variables or self.context.callbacks.callbacks or hydra.job.chdir)

    def _run_as_hydra(self, config: DictConfig) -> JobReturn:
        done = run_job(self.task, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.context)
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        # The sweeper keeps what is returned until the sweep ends; these are two copies of the configuration.
        done.cfg = done.hydra_cfg = None
        return done

    def _run_plainly(self, config: DictConfig) -> JobReturn:
        """Does what Hydra's `run_job` does, without copies of the configuration."""
        before = HydraConfig.instance().cfg
        # `HydraConfig.set_config` of Hydra 1.3 copies the configuration's part `hydra`, and makes it read-only.
        HydraConfig.instance().cfg = config  # type: ignore[assignment]
        try:
            folder = Path(os.path.abspath(Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))))
            config.hydra.runtime.output_dir = str(folder)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if config.hydra.output_subdir is not None:
                    _save(config, folder / str(config.hydra.output_subdir))
            except OSError as error:
                raise write_problem(error, Path(shown(folder))) from error
            done = JobReturn(task_overrides(config.hydra), working_dir=os.getcwd())
            done.task_name = JobRuntime.instance().get("name")
            try:
                done.return_value, done.status = self.task(config), JobStatus.COMPLETED
            except Exception as error:  # the sweeper raises it, as with all launchers
                done.return_value, done.status = error, JobStatus.FAILED
            return done
        finally:
            HydraConfig.instance().cfg = before


def _save(config: DictConfig, folder: Path) -> None:
    """Writes the configuration into the job's folder, in three files as Hydra does."""
    folder.mkdir(exist_ok=True)
    content = OmegaConf.to_container(config, enum_to_str=True)
    assert isinstance(content, dict)
    hydra = content.pop("hydra")
    parts = {"config": content, "hydra": {"hydra": hydra}, "overrides": hydra["overrides"]["task"]}
    for name, part in parts.items():
        text = yaml.dump(part, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


class _Dumper(getattr(yaml, "CDumper", yaml.Dumper)):  # type: ignore[misc]
    """OmegaConf's, in C where there is a C library: an eighth of the time."""


# OmegaConf quotes texts that YAML would read as numbers, such as `1e-3`.
_Dumper.add_representer(str, get_omega_conf_dumper().str_representer)


def register() -> None:
    """Registers the launcher with Hydra."""
    # The table in which `Plugins._instantiate` of Hydra 1.3 looks classes up. Its public `register` would enter the
    # launcher under the name of this module.
    Plugins.instance().class_name_to_class[TARGET] = Launcher
