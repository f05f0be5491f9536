"""The variables of Keras's optimizers in the order in which files number them, as data.

An optimizer has its counters first (`iteration`, and `learning_rate` unless that is a schedule), then blocks: in a
block each trained weight has a slot of each name, one weight after the other. Optimizers that are not here keep their
state in another way. Checked against Keras 3.15 by `tests/execute/test_new_file_state.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SlotBlock:
    """Slots that each trained weight has, of its shape and dtype.

    Arguments:
        names: their names, in order.
        when: the key of the config that must be true (or a number above 0) for them to exist; empty for always.
        initial: for the slots that do not begin at 0, the key of the config that says where they begin.
    """

    names: tuple[str, ...]
    when: str = ""
    initial: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OptimizerFacts:
    """The state of an optimizer: its blocks, and the number of variables of its own that come after them."""

    blocks: tuple[SlotBlock, ...]
    trailing: int = 0


_MOMENTS = SlotBlock(("momentum", "velocity"))
_ADAM = OptimizerFacts((_MOMENTS, SlotBlock(("velocity_hat",), when="amsgrad")))
_ACCUMULATOR = {"accumulator": "initial_accumulator_value"}

OPTIMIZERS: Mapping[str, OptimizerFacts] = {
    "SGD": OptimizerFacts((SlotBlock(("momentum",), when="momentum"),)),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "RMSprop": OptimizerFacts(
        (
            SlotBlock(("velocity",)),
            SlotBlock(("momentum",), when="momentum"),
            SlotBlock(("average_gradient",), when="centered"),
        )
    ),
    "Adagrad": OptimizerFacts((SlotBlock(("accumulator",), initial=_ACCUMULATOR),)),
    "Adadelta": OptimizerFacts((SlotBlock(("accumulated_grad", "accumulated_delta_var")),)),
    "Adamax": OptimizerFacts((SlotBlock(("momentum", "norm")),)),
    "Nadam": OptimizerFacts((_MOMENTS,), trailing=1),
    "Ftrl": OptimizerFacts((SlotBlock(("accumulator", "linear"), initial=_ACCUMULATOR),)),
    "Lion": OptimizerFacts((SlotBlock(("momentum",)),)),
    "Lamb": OptimizerFacts((_MOMENTS,)),
}

MORE_STATE = ("use_ema", "gradient_accumulation_steps")
"""The keys of a config that give any optimizer further variables."""


def counters_of(config: Mapping[str, Any]) -> int:
    """Returns the number of an optimizer's counters."""
    return 1 if isinstance(config.get("learning_rate"), Mapping) else 2


def blocks_of(facts: OptimizerFacts, config: Mapping[str, Any]) -> tuple[SlotBlock, ...]:
    """Returns the blocks that an optimizer with this config has."""
    return tuple(block for block in facts.blocks if not block.when or config.get(block.when))
