"""The zoo, each model of it built and saved once a session; no test may change one."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mutspec.model.live import LiveModel, read_live
from tests.zoo.play import shared

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@dataclass(frozen=True)
class Kept:
    """A model of the zoo in memory and on disk."""

    model: Any
    live: LiveModel
    folder: Path

    @property
    def keras(self) -> Path:
        return self._saved("model.keras", self.model.save)

    @property
    def h5(self) -> Path:
        return self._saved("model.h5", self.model.save)

    @property
    def weights(self) -> Path:
        return self._saved("model.weights.h5", self.model.save_weights)

    def _saved(self, name: str, save: Any) -> Path:
        path = self.folder / name
        if not path.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                save(path)
        return path


class Zoo:
    """Reads and saves each model once, when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Kept] = {}

    def __getitem__(self, name: str) -> Kept:
        if name not in self._kept:
            model = shared(name)
            folder = self._folder / name
            folder.mkdir()
            self._kept[name] = Kept(model, read_live(model), folder)
        return self._kept[name]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))
