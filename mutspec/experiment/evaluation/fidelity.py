"""Fidelity of a mutant to its base: how far its outputs are from the base's. Labels do not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_PROBABILITY = 1e-7
"""The least value that a probability counts as, as in `keras.losses.KLDivergence`."""


@dataclass(frozen=True)
class OutputFidelity:
    """The distance of one output of a mutant from its base's.

    Arguments:
        agreement: the part of its choices that are as the base's; None if it chooses between nothing.
        divergence: the mean Kullback–Leibler divergence of its classes from the base's, in nats; None if it is of no
            classes.
        deviation: the mean of |mutant − base| over its numbers.
    """

    agreement: float | None
    divergence: float | None
    deviation: float | None


@dataclass(frozen=True)
class Fidelity:
    """The distance of a mutant's outputs from its base's.

    Arguments:
        agreement, divergence, deviation: see `OutputFidelity`; of several outputs, which count alike, the mean over
            those that have one.
        flips: by class of the base, how many choices of it the mutant changed; classes without any are left out. With
            several outputs, the output is in front.
        sample_agreement: the part of the samples of which all choices in all outputs are as the base's.
        by_output: the same for each output.

    Outputs that are not finite disagree, and do not count for divergence and deviation, which are None if nothing is
    left.
    """

    agreement: float | None = None
    flips: Mapping[str, int] = field(default_factory=dict)
    divergence: float | None = None
    deviation: float | None = None
    sample_agreement: float | None = None
    by_output: Mapping[str, OutputFidelity] = field(default_factory=dict)


def of_itself(has_classes: bool, has_outputs: bool) -> Fidelity:
    """Returns the fidelity of a base to itself, as far as it can be measured."""
    agreement = 1.0 if has_classes else None
    divergence = 0.0 if has_classes and has_outputs else None
    return Fidelity(agreement, {}, divergence, 0.0 if has_outputs else None, agreement)


def class_name(output: str, number: int, *, is_single: bool) -> str:
    """Returns the name of a class in results."""
    return f"{number}" if is_single else f"{output}/{number}"


def class_counts(classes: Mapping[str, NDArray[np.int64]]) -> dict[str, int]:
    """Returns the number of choices of each class.

    Arguments:
        classes: the classes chosen, by output; -1 where the output was not finite.
    """
    return {
        class_name(output, int(number), is_single=len(classes) == 1): int(count)
        for output, chosen in classes.items()
        for number, count in zip(*np.unique(chosen[chosen >= 0], return_counts=True), strict=True)
    }


class Comparison:
    """Adds up, batch by batch, how far outputs are from the base's."""

    def __init__(self) -> None:
        self._outputs: dict[str, _Sums] = {}
        self._agreeing: dict[int, NDArray[np.bool_]] = {}

    def choices(self, output: str, start: int, base: NDArray[np.int64], mutant: NDArray[np.int64]) -> None:
        """Adds the classes that an output chose for the samples from `start` on; -1 stands where it was not finite."""
        same = (base == mutant) & (mutant >= 0)
        self._of(output).take_choices(base, same)
        whole = same.reshape(len(same), -1).all(axis=1)
        self._agreeing[start] = self._agreeing.get(start, True) & whole

    def outputs(
        self, output: str, base: NDArray[Any], mutant: NDArray[Any], *, are_classes: bool, from_logits: bool
    ) -> None:
        """Adds an output's numbers, of one shape."""
        self._of(output).take_outputs(base, mutant, are_classes=are_classes, from_logits=from_logits)

    def _of(self, output: str) -> _Sums:
        return self._outputs.setdefault(output, _Sums())

    def result(self) -> Fidelity:
        """Returns the fidelity over all batches that were added."""
        found = {output: sums.result() for output, sums in self._outputs.items()}
        samples = sum(map(len, self._agreeing.values()))
        flips = {
            (output, number): count for output, sums in self._outputs.items() for number, count in sums.flips.items()
        }
        return Fidelity(
            _mean(each.agreement for each in found.values()),
            {
                class_name(output, number, is_single=len(found) == 1): flips[output, number]
                for output, number in sorted(flips)
            },
            _mean(each.divergence for each in found.values()),
            _mean(each.deviation for each in found.values()),
            sum(int(np.count_nonzero(each)) for each in self._agreeing.values()) / samples if samples else None,
            found,
        )


class _Sums:
    """The sums over one output."""

    def __init__(self) -> None:
        self._choices = self._same = self._divergences = self._deviations = 0
        self._divergence = self._deviation = 0.0
        self.flips: Counter[int] = Counter()

    def take_choices(self, base: NDArray[np.int64], same: NDArray[np.bool_]) -> None:
        self._choices += base.size
        self._same += int(np.count_nonzero(same))
        classes, counts = np.unique(base[~same & (base >= 0)], return_counts=True)
        self.flips.update({int(number): int(count) for number, count in zip(classes, counts, strict=True)})

    def take_outputs(self, base: NDArray[Any], mutant: NDArray[Any], *, are_classes: bool, from_logits: bool) -> None:
        base, mutant = (np.asarray(each, np.float64) for each in (base, mutant))
        both = np.isfinite(base) & np.isfinite(mutant)
        self._deviations += int(np.count_nonzero(both))
        self._deviation += float(np.abs(mutant[both] - base[both]).sum())
        if are_classes:
            rows = both if both.ndim < 2 else both.all(axis=-1)
            self._divergences += int(np.count_nonzero(rows))
            self._divergence += float(_divergence(base[rows], mutant[rows], from_logits=from_logits).sum())

    def result(self) -> OutputFidelity:
        return OutputFidelity(
            self._same / self._choices if self._choices else None,
            self._divergence / self._divergences if self._divergences else None,
            self._deviation / self._deviations if self._deviations else None,
        )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _divergence(base: NDArray[Any], mutant: NDArray[Any], *, from_logits: bool) -> NDArray[Any]:
    """The Kullback–Leibler divergence of each row of classes; of a single number, of the two classes it decides on."""
    p, q = (_log_probabilities(each, from_logits=from_logits) for each in (base, mutant))
    divergence: NDArray[Any] = (np.exp(p) * (p - q)).sum(axis=-1)
    return divergence


def _log_probabilities(outputs: NDArray[Any], *, from_logits: bool) -> NDArray[Any]:
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        one = outputs if outputs.ndim < 2 else outputs[..., 0]
        outputs = np.stack([np.zeros_like(one), one] if from_logits else [1 - one, one], axis=-1)
    if not from_logits:
        return np.asarray(np.log(np.clip(outputs, LEAST_PROBABILITY, 1)))
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
