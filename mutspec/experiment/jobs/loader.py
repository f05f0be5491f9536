"""Hydra's loader of configurations, with recipes in the place of the group `plan`.

Recipes are a *source* of configurations, as Hydra's own for folders and for its ConfigStore are. Hydra asks a source by
name, so a recipe is read when it is chosen, and nothing stays in Hydra's process-wide store. No other source is asked
about `plan`, so Hydra's YAML loader never reads a recipe.

The loader also checks what it composes, before a folder is made or a job is launched. Launchers send it to their
processes and machines, which compose their jobs themselves.

It subclasses internals (`hydra._internal`) as they are in Hydra 1.3; pyproject.toml allows no other minor version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mutspec.errors import CallError, MutspecError, Problem
from mutspec.experiment.jobs.configuration import Composer, register_resolvers, task_overrides
from mutspec.experiment.jobs.earlier import Earlier, Wanted, check_job
from mutspec.experiment.jobs.globs import spell_out
from mutspec.experiment.jobs.job_folders import JobFolders, folder_name, jobs_of, swept_keys
from mutspec.experiment.jobs.objectives import check_directions
from mutspec.experiment.jobs.recipes import Recipes, for_hydra
from mutspec.experiment.jobs.resume import SWEEPS_FILE, Before, Since, folder_to_go_on_in
from mutspec.experiment.jobs.template import Templates, parsed, replacing
from mutspec.own_modules import OwnModules, allow_modules, keys_of_names

JOB_NAME = "mutspec"
"""Hydra's name for a job of which it does not know the plan."""
OPEN_GROUPS = ("data/",)
"""Groups whose options are calls of a function: it says which keys there are."""
OPEN_KEYS = ("plan", "inputs")
"""Keys of the configuration that begin as empty mappings. In a sweep over plans no recipe is composed at first."""
NAMES_OF_CODE = ("custom_search_space",)
"""Keys whose values are dotted names, too: of a function for Optuna's sweeper."""
NAMES_OF_LOGS = ("class", "()")
"""Keys whose values are dotted names in the configuration of Python's logging."""
MOST_KEPT = 100
"""The number of composed configurations of jobs that are kept for the launcher: each takes some 90 kB."""


class RecipeSource(ConfigSource):
    """Recipes as options of the group `plan`."""

    def __init__(self, recipes: Recipes) -> None:
        """Offers these recipes."""
        super().__init__("mutspec", "recipes://")
        self.recipes = recipes

    @staticmethod
    def scheme() -> str:
        """Returns the beginning of its addresses."""
        return "recipes"

    def load_config(self, config_path: str) -> ConfigResult:
        """Returns the recipe of a path `plan/NAME`, open for keys that it does not have."""
        name = _recipe_name(config_path)
        if name not in self.recipes.files:
            raise ConfigLoadError(f"there is no recipe {name}")
        recipe = self.recipes.read(name)
        try:
            config = OmegaConf.create(for_hydra(recipe))
        except OmegaConfBaseException:  # an interpolation that is wrong: the plan's compiler reports it
            config = OmegaConf.create({})
        OmegaConf.set_struct(config, False)
        return ConfigResult(self.provider, f"recipes://{recipe.file}", config, {"package": None})

    def is_group(self, config_path: str) -> bool:
        """Tells whether a path is that of the group."""
        return config_path.rstrip("/") == "plan"

    def is_config(self, config_path: str) -> bool:
        """Tells whether a path is that of a recipe."""
        return _recipe_name(config_path) in self.recipes.files

    def available(self) -> bool:
        """Tells that it can always be asked."""
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Returns the recipes' names."""
        return self.recipes.names if results_filter is not ObjectType.GROUP else []


def _recipe_name(config_path: str) -> str:
    return config_path.removeprefix("plan/").removesuffix(".yaml") if _is_plan(config_path) else ""


def _is_plan(config_path: str) -> bool:
    return config_path == "plan" or config_path.startswith("plan/")


class Repository(ConfigRepository):
    """Hydra's configurations by path: recipes under `plan`, all else as Hydra finds it."""

    def __init__(self, config_search_path: ConfigSearchPath, recipes: Recipes) -> None:
        """Takes the path along which all else is found."""
        self.recipes = RecipeSource(recipes)
        super().__init__(config_search_path)

    def __deepcopy__(self, _: dict[int, Any]) -> Repository:
        """Returns a copy with its own list of sources, which is all that Hydra changes in a copy.

        `CachingConfigRepository` of Hydra 1.3 copies the repository for each configuration that it composes, to replace
        the sources by those of `hydra.searchpath`. A deep copy would copy all recipes.
        """
        copied = copy(self)
        copied.sources = list(self.sources)
        return copied

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Returns a configuration, its open parts marked as such."""
        result: ConfigResult | None = super().load_config(config_path)
        if result is not None and isinstance(result.config, DictConfig):
            if config_path.startswith(OPEN_GROUPS):
                OmegaConf.set_struct(result.config, False)
            for key in OPEN_KEYS:
                # `config[key]` would raise where there is no such key, and resolve interpolations too early.
                node = result.config._get_node(key, validate_access=False)
                if isinstance(node, DictConfig):
                    OmegaConf.set_struct(node, False)
        return result

    def get_group_options(self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG) -> list[str]:
        """Returns the options of a group."""
        if _is_plan(group_name):
            return self.recipes.list(group_name, results_filter) if self.recipes.is_group(group_name) else []
        options = set(super().get_group_options(group_name, results_filter))
        return sorted(options | ({"plan"} if not group_name and results_filter is not ObjectType.CONFIG else set()))

    # Private in Hydra 1.3: `load_config`, `group_exists` and `config_exists` ask it for the source.
    def _find_object_source(self, config_path: str, object_type: ObjectType | None) -> ConfigSource | None:
        if not _is_plan(config_path):
            found: ConfigSource | None = super()._find_object_source(config_path, object_type)
            return found
        is_there = self.recipes.is_config if object_type is ObjectType.CONFIG else self.recipes.is_group
        return self.recipes if is_there(config_path) else None


@dataclass(frozen=True)
class _Sweep:
    """The values that the jobs of a sweep share: the sweep's configuration, and what is read in it for each job."""

    master: DictConfig
    name: str
    folder: str
    fixed: list[str]
    resume: Any
    force: Any

    @classmethod
    def of(cls, master: DictConfig) -> _Sweep:
        hydra = master.hydra
        folder = os.path.join(hydra.runtime.cwd, str(hydra.sweep.dir))  # a launcher's workers may be in other folders
        return cls(master, hydra.job.name, folder, task_overrides(hydra), master.get("resume"), master.get("force"))


class Loader(ConfigLoaderImpl):
    """Composes configurations of jobs, named and checked."""

    def __init__(self, config_search_path: ConfigSearchPath, composer: Composer, *, checks: bool = True) -> None:
        """Composes with these recipes; `checks` says whether a wrong plan or setting is an error here already."""
        self.config_search_path = config_search_path
        self.composer = composer
        self.checks = checks
        self.repository = Repository(config_search_path, composer.recipes)
        self.jobs = 0
        self.knows_all_jobs = False
        """True if a sweeper composes all jobs here, before a launcher may do so elsewhere."""
        self.warnings: list[Problem] = []
        self._in_sweep = False
        self.folder: Path | None = None
        self._before = Before()
        self._earlier: Earlier | None = None
        self._seen: list[Wanted] = []
        self._new_folders: list[Path] = []
        self._templates = Templates()
        self._job_folders = JobFolders()
        self._sweep: _Sweep | None = None
        self._checked: dict[tuple[str, ...], DictConfig | None] = {}
        self._own_modules: OwnModules | None = None

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Composes a configuration as Hydra does. A single run is named by its plan, and checked."""
        config: DictConfig = super().load_configuration(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        if self._in_sweep:  # Hydra 1.3 composes a sweep's jobs by this method too, with RunMode.RUN
            return config
        if run_mode is RunMode.MULTIRUN:
            self.warnings = spell_out(config, self.composer.recipes, self.composer.given(config.hydra))
        if config.hydra.job.name == JOB_NAME:
            plan = OmegaConf.to_container(config.hydra.runtime.choices).get("plan")  # type: ignore[union-attr]
            is_one = isinstance(plan, str) and plan in self.composer.recipes.files
            config.hydra.job.name = str(plan).replace("/", ".") if is_one else "sweep"
        if self.checks:
            if run_mode is RunMode.RUN:
                self.composer.check(config)
            else:
                check_directions(config)
                # `BasicSweeper.validate_batch_is_legal` of Hydra 1.3 composes all jobs before one is launched.
                self.knows_all_jobs = str(config.hydra.sweeper._target_).endswith(".BasicSweeper")
            resume = OmegaConf.select(config, "resume", default=False)
            self._claim(config.hydra, resume, is_sweep=run_mode is RunMode.MULTIRUN)
            self._protect(config, is_sweep=run_mode is RunMode.MULTIRUN)
        return config

    def _protect(self, config: DictConfig, *, is_sweep: bool) -> None:
        """Refuses a call that would replace the results of another, before anything is written.

        Where the sweeper knows its jobs, these are composed now, and forgotten again. Other sweepers choose jobs while
        others run, and each of them is held against what was there when the call began.
        """
        assert self.folder is not None
        if not self._before.times or OmegaConf.select(config, "force", default=False) is True:
            return
        if not is_sweep:
            wanted = self._wanted(config, self.folder, ())
            if (self.folder / SWEEPS_FILE).is_file():
                Earlier.of(self.folder, self._before.times).check_all([wanted])
            check_job(wanted)
            return
        earlier = Earlier.of(self.folder, self._before.times)
        if not earlier:
            return
        self._earlier, self._seen = earlier, []
        if not self.knows_all_jobs:
            return
        for job in jobs_of(config, self):
            self.load_sweep_config(config, job)
        earlier.check_all(self._seen)
        self._earlier, self.jobs, self._checked, self._job_folders = None, 0, {}, JobFolders()

    def _wanted(self, config: DictConfig, folder: Path, swept: Iterable[str]) -> Wanted:
        """The job of a configuration."""
        settings, composed = self.composer.settings(config, config.hydra), self.composer.plan(config, config.hydra)
        overrides = tuple(task_overrides(config.hydra))
        return Wanted(folder, settings, composed, self.composer.modules, overrides, frozenset(swept))

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Composes a job as Hydra does. The job is checked, and its folder is named by what varies.

        Hydra's own sweeper composes every job before the first one runs, to find mistakes, and the launcher does so
        again. It is checked once, and of the first ones the configuration is kept for the launcher.
        """
        job = tuple(sweep_overrides)
        kept = self._checked.get(job)
        if kept is not None and OmegaConf.is_missing(kept.hydra.job, "num"):  # else the same job was in the sweep twice
            del self._checked[job]
            return kept
        register_resolvers()  # a launcher's process has not called `application.run`
        self._in_sweep = True
        try:
            config: DictConfig = super().load_sweep_config(master_config, sweep_overrides)
        finally:
            self._in_sweep = False
        if self._sweep is None or self._sweep.master is not master_config:
            self._sweep = _Sweep.of(master_config)
        if config.get("resume") != self._sweep.resume:
            hint = "it is true, or the folder to go on in"
            raise CallError("`resume` is said of all jobs, and cannot be swept over", hint=hint)
        if config.get("force") != self._sweep.force:
            hint = "it is true or false"
            raise CallError("`force` is said of all jobs, and cannot be swept over", hint=hint)
        hydra = config.hydra
        hydra.job.name, hydra.sweep.dir = self._sweep.name, self._sweep.folder
        hydra.job.override_dirname = folder_name(self._sweep.fixed, sweep_overrides)
        if job in self._checked:
            del self._checked[job]
            return config
        if self.checks:
            is_sound = self._check_job(config, master_config)
            folder = self._job_folders.claim(config, job)
            if is_sound and self._earlier is not None:
                assert self.folder is not None
                wanted = self._wanted(config, self.folder / folder, swept_keys(self._sweep.fixed, sweep_overrides))
                if self.knows_all_jobs:
                    self._seen.append(wanted)
                else:
                    self._earlier.check(wanted)
        self.jobs += 1
        if self.knows_all_jobs:
            self._checked[job] = config if len(self._checked) < MOST_KEPT else None
        return config

    def _check_job(self, config: DictConfig, master: DictConfig) -> bool:
        """Checks a job. A problem of drawn values alone is not raised if its sweeper draws jobs one by one.

        Such a job is launched: it fails for the same reason, and its sweeper gets a trial that failed.

        Returns:
            Whether nothing is wrong with it.
        """
        try:
            self.composer.check(config, in_sweep=True)
        except MutspecError as error:
            if self.knows_all_jobs or self._is_wrong_in_all_jobs(error, master):
                raise
            return False
        return True

    def _is_wrong_in_all_jobs(self, error: MutspecError, master: DictConfig) -> bool:
        """Tells whether a problem exists without the values of a job, too."""
        try:
            self.composer.check(master, in_sweep=True)
        except MutspecError as other:
            return any(problem in other.problems for problem in error.problems)
        return False

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Composes as Hydra does, a sweep's jobs from templates."""

        def compose(lines: list[str]) -> DictConfig:
            replaced = [each for line in lines for each in replacing(line)]
            config: DictConfig = super(Loader, self)._load_configuration_impl(
                config_name, replaced, run_mode, from_shell, validate_sweep_overrides
            )
            if replaced != lines:
                config.hydra.overrides.task = [line for line in lines if not parsed(line).is_hydra_override()]
            self._allow_modules(config)
            return config

        if not self._in_sweep:
            return compose(overrides)
        config = self._templates.job(overrides, compose, partial(self._find_groups, config_name, overrides))
        if any("_target_" in line for line in overrides):  # it is set in a copy of the template
            self._allow_modules(config)
        return config

    def _allow_modules(self, config: DictConfig) -> None:
        """Allows all code that a configuration names to be imported, before Hydra calls any of it."""
        logs = (config.hydra.get(name) for name in ("job_logging", "hydra_logging"))
        named = allow_modules([*_targets(config), *(name for log in logs for name in _targets(log, NAMES_OF_LOGS))])
        known = self._own_modules
        self._own_modules = replace(named, names=named.names | known.names) if known is not None else named

    def _find_groups(self, config_name: str | None, overrides: list[str], keys: set[str]) -> dict[str, bool]:
        """Tells which keys are those of groups, also in folders that the overrides or the configuration add."""
        repository = self._parse_overrides_and_create_caching_repo(config_name, overrides)[1]
        return {key: repository.group_exists(key) for key in keys}

    def unchecked(self, config_name: str, overrides: list[str]) -> DictConfig:
        """Composes a configuration for messages about others."""
        config: DictConfig = super().load_configuration(config_name, overrides, RunMode.RUN)
        return config

    def _claim(self, hydra: DictConfig, resume: bool | str, *, is_sweep: bool) -> None:
        """Makes the folder of a run or sweep, if its name is the time: two calls in one second must not share it."""
        settings = hydra.sweep if is_sweep else hydra.run
        written = OmegaConf.to_container(settings, resolve=False)
        assert isinstance(written, dict)
        is_new = "${now:" in str(written["dir"])
        self.folder = wanted = Path(str(settings.dir))
        if resume:
            self.folder = folder_to_go_on_in(resume, wanted, is_new=is_new, is_sweep=is_sweep)
            settings.dir = str(self.folder)
        self._before = Before.of(self.folder, is_resumed=bool(resume))
        if resume or not is_new:
            return
        self._new_folders = [each for each in (wanted, *wanted.parents) if not each.exists()][1:]
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for folder in (wanted, *(wanted.with_name(f"{wanted.name}-{number}") for number in range(2, 1000))):
            with suppress(FileExistsError):
                folder.mkdir()
                self.folder, settings.dir = folder, str(folder)
                self._before = Before.of(folder, is_resumed=False)
                self._new_folders.insert(0, folder)
                return

    def since(self) -> Since:
        """Returns what happened to the jobs that were in the folder of the run or sweep."""
        return self._before.since()

    def forget_run(self) -> None:
        """Removes the folder of a run that failed, if it was made for that run alone."""
        self._forget({each.name for each in self.folder.iterdir()} if self.folder and self.folder.is_dir() else set())

    def forget_sweep(self) -> None:
        """Removes the folder of a sweep of which no job has run, if it was made for that sweep alone."""
        self._forget({SWEEPS_FILE})

    def _forget(self, names: set[str]) -> None:
        """Removes the folder if it was claimed, and holds nothing but what is named."""
        if not self._new_folders or {each.name for each in self._new_folders[0].iterdir()} - names:
            return
        rmtree(self._new_folders[0])
        for each in self._new_folders[1:]:
            with suppress(OSError):  # others have put something into it meanwhile
                each.rmdir()

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out what is known of other jobs. Templates are sent: they spare each process composing from files."""
        unknown: dict[str, Any] = {
            "_before": Before(),
            "_sweep": None,
            "_job_folders": JobFolders(),
            "_earlier": None,
            "_seen": [],
        }
        return {**self.__dict__, "_checked": {}, **unknown}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Allows imports in a launcher's process. Callbacks, which are unpickled next, may be of the user's own."""
        self.__dict__.update(state)
        if self._own_modules is not None:
            self._own_modules.allow()


def _targets(node: Any, names: tuple[str, ...] = NAMES_OF_CODE) -> Iterator[str]:
    """Yields the dotted names of all that a configuration has called. Interpolations are resolved where they can be."""
    if isinstance(node, DictConfig | ListConfig) and isinstance(node._content, dict | list):  # not `null` or `${…}`
        if isinstance(node, DictConfig):
            for name in (*_keys_of_names(node), *names):
                if name in node:
                    with suppress(OmegaConfBaseException):
                        yield str(node[name])
        for child in node._content.values() if isinstance(node, DictConfig) else node._content:
            yield from _targets(child, names)


def _keys_of_names(node: DictConfig) -> tuple[str, ...]:
    try:
        return keys_of_names(node)
    except OmegaConfBaseException:
        return ()
