"""The objects that jobs of one process share: the base with its compiled functions, data, the base's evaluation."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from logging import LogRecord, getLogger
from pathlib import Path
from typing import Any

import msgspec

from mutspec.access.digests import weights_digest
from mutspec.errors import EnvironmentProblem, Problem
from mutspec.execute.loading import load
from mutspec.experiment.costs import Costs, costs_of
from mutspec.experiment.data.arrays import Data
from mutspec.experiment.evaluation.evaluate import Evaluation, Evaluator, predicted
from mutspec.experiment.evaluation.measures import check_measures
from mutspec.experiment.evaluation.shortcut import Shortcuts
from mutspec.experiment.job_inputs import is_known_by_files, load_data_once, stamp, stamps, stamps_of_folder, texts
from mutspec.experiment.job_settings import EvaluateSettings, Settings
from mutspec.experiment.model_files import check_file
from mutspec.model.files.opening import open_archive
from mutspec.model.live import LiveModel, import_keras, read_live


@dataclass(frozen=True, eq=False)
class Session:
    """A base model that has been evaluated.

    Arguments:
        model: the keras.Model. Jobs mutate it and restore it.
        live: the same, read.
        data: what it is evaluated on.
        evaluator: evaluates it, and its mutants.
        base: what it says about the data.
        shortcuts: to the outputs of its mutants.
        unsafe: whether code that the model holds may run, where mutants are built from its config.
        warnings: what of its file the base does not have.
    """

    model: Any
    live: LiveModel
    data: Data
    evaluator: Evaluator
    base: Evaluation
    shortcuts: Shortcuts
    unsafe: bool
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def weights_digest(self) -> str:
        """A digest of the base's weights, while no trial is on its way."""
        return weights_digest(self.live)

    @cached_property
    def costs(self) -> Costs:
        """The costs of the base."""
        return costs_of(self.live)


def opened(model: Any, data: Data, settings: EvaluateSettings, *, unsafe: bool) -> Session:
    """A session with a keras.Model, which is evaluated.

    Raises:
        CallError: the data do not fit it.
    """
    getLogger("tensorflow").addFilter(_is_not_about_retracing)
    live, evaluator = read_live(model), Evaluator(settings, data)
    shortcuts = Shortcuts(live, data, partial(predicted, model, data))
    return Session(model, live, data, evaluator, evaluator.evaluate(model), shortcuts, unsafe)


def _is_not_about_retracing(record: LogRecord) -> bool:
    """Filters TensorFlow's warning of retracing: mutants of another architecture and shortcuts have to be traced."""
    return "tf.function retracing" not in str(record.msg)


def session(settings: Settings) -> Session:
    """The session for some settings. One is kept, for as long as jobs ask for the same, and the files stay as they are.

    Raises:
        CallError: the data are wrong, or do not fit the model; or loss or metrics are wrong.
        ModelError: the model cannot be loaded.
        EnvironmentProblem: Keras is not installed.
    """
    known: tuple[Any, ...] = (stamps(settings.model.path), *map(stamp, texts(settings.data)))
    if is_known_by_files(settings.data):
        known = (*known, *stamps_of_folder(settings.data))
    elif os.path.exists(settings.model.path):  # what a function of the user's own reads is seen in what it returns
        known = (*known, load_data_once(settings.data).digest)
    data, evaluate = (msgspec.json.encode(each, order="sorted") for each in (settings.data, settings.evaluate))
    model = settings.model
    return _made(model.path, model.unsafe, model.verify, data, evaluate, known)


@lru_cache(maxsize=1)
def _made(path: str, is_unsafe: bool, is_verified: bool, data: bytes, evaluate: bytes, _: Any) -> Session:
    check_file(path)
    open_archive(Path(path))  # refuses what is not a model file in our words, before Keras is loaded
    settings = msgspec.json.decode(evaluate, type=EvaluateSettings)
    try:
        import_keras()
    except ImportError as error:
        message = f"evaluating a model needs Keras, which cannot be imported ({error})"
        raise EnvironmentProblem(message, hint="pip install 'mutspec[tensorflow]'") from None
    check_measures(settings)
    loaded = load_data_once(msgspec.json.decode(data))
    base = load(Path(path), unsafe=is_unsafe, verify=is_verified)
    return replace(opened(base.model, loaded, settings, unsafe=is_unsafe), warnings=base.warnings)
