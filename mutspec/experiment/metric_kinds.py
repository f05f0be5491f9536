"""Kinds of measures, told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

DROP = "drop."
"""The beginning of the names of measures that say how far a metric fell."""

PARAMETERS, MULTIPLY_ADDS = COSTS = ("parameters", "multiply_adds")
"""The measures that say what a model costs, whatever it predicts."""

_SHARE = re.compile(r"(?:.*_)?(?:acc|accuracy|agreement|precision|recall)(?:_.*)?", re.IGNORECASE)
_RATE_OF_SAMPLES = re.compile(r"(?:.*_)?(?:acc|accuracy|agreement)(?:_.*)?", re.IGNORECASE)
"""Shares whose denominator is the number of samples: of precision and recall it is another number."""
_GROWS_WHEN_WORSE = re.compile(
    r"(?:.*_)?(?:loss|error|crossentropy|entropy|divergence|deviation|hinge|huber|poisson|cosh|logcosh|perplexity"
    r"|mse|mae|mape|msle|rmse|false_(?:positives|negatives))"
    r"(?:_[a-z]+(?:_[a-z]+)*_(?:[0-9.e+_-]+|true|false))*",
    re.IGNORECASE,
)
"""Metrics that are greater for a worse model, by the ends of Keras's names, which arguments may follow as in
`huber_delta_0.5`. All others are taken to be smaller."""


def is_share(metric: str, values: Iterable[float]) -> bool:
    """Tells by a metric's name and values whether it is a part of the samples, or a difference of two such parts."""
    least = -1 if metric.startswith(DROP) else 0
    return _SHARE.fullmatch(metric.removeprefix(DROP)) is not None and all(
        not (value < least or value > 1) for value in values
    )


def is_rate_of_samples(metric: str) -> bool:
    """Tells by its name whether a metric counts samples and divides by their number."""
    return _RATE_OF_SAMPLES.fullmatch(metric) is not None


def grows_when_worse(metric: str) -> bool:
    """Tells by its name whether a metric is greater for a worse model."""
    return _GROWS_WHEN_WORSE.fullmatch(metric) is not None
