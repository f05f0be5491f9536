"""Plans and small models that are looked at by the rules."""

from __future__ import annotations

from pathlib import Path

from mutspec.keras_facts.roles import Group
from mutspec.language import load_text
from mutspec.lint import findings
from mutspec.lowering.compile import compile_plan
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
from mutspec.ops import catalogue

CATALOGUE = catalogue(plugins=False)
DIGITS = Path(__file__).parents[2] / "conf" / "model" / "digits.keras"


def plan_text(*lines: str, head: str = "seed: 1") -> str:
    """A plan of some steps, each on one line."""
    return "\n".join(["mutspec: 1", head, "steps:", *(f"  - {line}" for line in lines), ""])


def model_of(*paths: str, aliases: dict[str, str] | None = None) -> ModelSpec:
    """A model of Dense layers without biases; `aliases` gives kernels a second path."""
    layers = tuple(LayerSpec(path, path.rpartition("/")[2], "Dense", ("Dense", "Layer")) for path in paths)
    tensors = tuple(
        TensorSpec(
            f"{path}/kernel",
            path,
            "kernel",
            Group.KERNELS,
            (8, 8),
            "float32",
            1,
            f"{path}/kernel",
            tuple(alias for owner, alias in (aliases or {}).items() if owner == path),
        )
        for path in paths
    )
    return ModelSpec("model", "Functional", layers, tensors)


def found(text: str, model: ModelSpec | None = None) -> list[tuple[str, str]]:
    """The rules that a plan breaks, each with its message."""
    plan = load_text(text, CATALOGUE)
    program = None if model is None else compile_plan(plan, model, {})
    return [(problem.rule, problem.message) for problem in findings(plan, program)]


def rules(text: str, model: ModelSpec | None = None) -> list[str]:
    """The names of the rules that a plan breaks."""
    return [rule for rule, _ in found(text, model)]
