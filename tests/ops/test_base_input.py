"""`base:` is the model as it was before the plan, for every op that reads another model."""

from __future__ import annotations

import numpy as np
import pytest

from mutspec.errors import PlanError
from tests.oracle import Step
from tests.toys import layered, mutate, same_bits


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        ({"op": "transfer_weights", "source": "base:d"}, 1),
        ({"op": "blend", "source": "base:", "t": 0.5}, 2),
        ({"op": "average", "sources": ["base:"]}, 2),
        ({"op": "add_difference", "plus": "base:", "minus": "base:e/kernel", "target": "e/kernel"}, None),
    ],
)
def test_a_step_reads_the_model_before_the_plan_though_it_was_changed_since(step: Step, factor: int | None) -> None:
    before = layered()
    steps = [{"op": "scale", "target": "*", "factor": 3.0}, {"target": "d", **step}]
    after = mutate(before, steps).tensors
    wanted = before["d/kernel"] * np.float32(factor or 3)
    assert same_bits(after["d/kernel"], wanted)


def test_what_the_model_before_the_plan_does_not_have_is_said() -> None:
    with pytest.raises(PlanError, match=r"in the model before the plan, no layer .*`x`"):
        mutate(layered(), {"op": "transfer_weights", "source": "base:x", "target": "d"})
