"""The check of a mutant in Keras: what was tested, as a value, JSON and text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mutspec.text import words


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """The test of one claim.

    Arguments:
        step, op: the step that claims that the model predicts the same after it as before.
        tolerance: the largest difference that it allows, as a part of the largest output.
        difference: the largest difference, in the same unit; None if it was not tested.
        reason: why it was not tested; empty if it was.
        float64_difference: the largest difference in float64, where the other is too large and the step makes the same
            weights in float64, up to rounding. If this one is allowed, the other is rounding.
    """

    step: str
    op: str
    tolerance: float
    difference: float | None
    reason: str = ""
    float64_difference: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the claim holds; None if it was not tested."""
        if self.difference is None:
            return None
        exact = self.float64_difference
        return self.difference <= self.tolerance or (exact is not None and exact <= self.tolerance)


@dataclass(frozen=True, slots=True)
class MutantCheck:
    """The check of a mutant.

    Arguments:
        seed: the seed of the inputs.
        inputs: the shape of each input, by name.
        outputs: the number of outputs.
        tensors: the number of weights whose shapes were compared.
        claims: the claims of the steps.
    """

    seed: int
    inputs: dict[str, tuple[int, ...]]
    outputs: int
    tensors: int
    claims: tuple[ClaimCheck, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the value of `check` in the JSON document of `apply`."""
        return {
            "seed": self.seed,
            "inputs": [{"name": name, "shape": list(shape)} for name, shape in self.inputs.items()],
            "outputs": self.outputs,
            "tensors": self.tensors,
            "claims": [
                {
                    "step": each.step,
                    "op": each.op,
                    "claim": "same_predictions",
                    "tolerance": each.tolerance,
                    "difference": each.difference,
                    "holds": each.holds,
                    **({} if each.float64_difference is None else {"float64_difference": each.float64_difference}),
                }
                for each in self.claims
            ],
        }


def check_lines(check: MutantCheck) -> Iterator[str]:
    """Yields sentences on a check in which nothing failed."""
    inputs, outputs = words.plural(len(check.inputs), "random input"), words.plural(check.outputs, "output")
    weights = words.plural(check.tensors, "weight")
    yield f"Checked in Keras on {inputs} (seed {check.seed}): {weights} of the right shapes, {outputs} finite."
    for each in check.claims:
        if each.difference is None:
            yield f"After `{each.step}` the model should predict the same, but this was not tested: {each.reason}."
        elif not each.difference:
            yield f"After `{each.step}` the model predicts exactly the same."
        else:
            same = f"After `{each.step}` the model predicts the same, up to {each.difference:.1g} of the largest output"
            exact = each.float64_difference
            yield f"{same}." if exact is None else f"{same}. This is rounding: in float64 it is {exact:.1g}."
