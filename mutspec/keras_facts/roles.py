"""The groups of weights: what a weight is for."""

from __future__ import annotations

from enum import StrEnum


class Group(StrEnum):
    """What a weight is for. `weights:` in a selector takes these names."""

    KERNELS = "kernels"
    BIASES = "biases"
    NORMS = "norms"
    EMBEDDINGS = "embeddings"
    STATISTICS = "statistics"
    STATE = "state"
    """Counters, seeds, quantisation scales: never chosen unless named."""
    OTHER = "other"
    """Learned weights of which nobody says what they are (`var0`, `var1`, …), and the adapters of LoRA."""


LEARNED = frozenset({Group.KERNELS, Group.BIASES, Group.NORMS, Group.EMBEDDINGS, Group.OTHER})
