"""The committed files that cases begin with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
_OLD = ROOT / "tests" / "data" / "old"
_RECIPES = ROOT / "conf" / "plan"


@cache
def content(path: Path) -> bytes:
    return path.read_bytes()


def model(name: str) -> bytes:
    """A model file of the corpus."""
    return content(CORPUS / "models" / name)


def keras_files() -> tuple[Path, ...]:
    return (
        *(CORPUS / "models" / name for name in ("tiny.keras", "deflated.keras", "chunked.keras")),
        _OLD / "keras_3.0.5" / "residual.keras",
        _OLD / "tf_keras_2.15.1" / "recurrent.keras",
    )


def whole_h5_files() -> tuple[Path, ...]:
    return (
        *(CORPUS / "models" / name for name in ("tiny.h5", "chunked.h5")),
        _OLD / "keras_2.0.9" / "recurrent.h5",
        _OLD / "tf_keras_2.15.1" / "residual.h5",
    )


@cache
def plans() -> tuple[str, ...]:
    """Plans that change weights alone: those of the corpus, and the shipped ones but for those that need more."""
    return tuple(path.read_text() for path in sorted((CORPUS / "plans").glob("*.yaml")))


@cache
def structural_plans() -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted((CORPUS / "structural").glob("*.yaml")))


@cache
def results() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((CORPUS / "results").glob("*/result.json")))
