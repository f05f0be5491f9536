"""The groups of weights, by their purpose."""

from __future__ import annotations

from enum import StrEnum


class Group(StrEnum):
    """The purpose of a weight. `weights:` in a selector takes these names."""

    KERNELS = "kernels"
    BIASES = "biases"
    NORMS = "norms"
    EMBEDDINGS = "embeddings"
    STATISTICS = "statistics"
    STATE = "state"
    """Counters, seeds, quantisation scales. They are selected only by name."""
    OTHER = "other"
    """Learned weights of unknown purpose (`var0`, `var1`, …), and the adapters of LoRA."""


LEARNED = frozenset({Group.KERNELS, Group.BIASES, Group.NORMS, Group.EMBEDDINGS, Group.OTHER})
