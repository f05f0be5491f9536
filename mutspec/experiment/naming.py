"""What a measure is, told by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHARE = re.compile(r"(?:.*_)?(?:acc|accuracy|agreement|precision|recall)(?:_.*)?", re.IGNORECASE)
_GROWS_WHEN_WORSE = re.compile(
    r"(?:.*_)?(?:loss|error|crossentropy|entropy|divergence|deviation|hinge|huber|poisson|cosh|logcosh|perplexity"
    r"|mse|mae|mape|msle|rmse|false_(?:positives|negatives))"
    r"(?:_[a-z]+(?:_[a-z]+)*_(?:[0-9.e+_-]+|true|false))*",
    re.IGNORECASE,
)
"""Metrics that are greater for a worse model, by the ends of Keras's names, which arguments may follow as in
`huber_delta_0.5`. All others are taken to be smaller."""


def is_share(metric: str, values: Iterable[float]) -> bool:
    """Whether a metric is a part of the samples, by its name and what was measured."""
    return _SHARE.fullmatch(metric) is not None and all(not (value < 0 or value > 1) for value in values)


def grows_when_worse(metric: str) -> bool:
    """Whether a metric is greater for a worse model, by its name."""
    return _GROWS_WHEN_WORSE.fullmatch(metric) is not None
