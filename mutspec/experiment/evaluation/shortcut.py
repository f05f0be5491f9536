"""Shortcuts: mutants are evaluated from where they differ from their base on, where that pays.

What lies before the first weight that a plan touches is the same in all mutants. Its activations are computed once for
all of the data, and kept; only the rest of the network is run. Whether the two parts make the same bits as the whole is
tried on the first mutant of each cut, on all of the data: if not, or if it is not faster, the whole is run.

To try is dear, as both parts are compiled. A sweep over fifty layers has fifty cuts with few mutants each: so after the
first attempt there is another only while all of them have cost no more than a small part of the sweep, less what they
have saved. Until a cut has its own, an earlier cut's shortcut serves for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from mutspec.experiment.data.arrays import Arrays, Data, leaves, rows
from mutspec.model.live import LiveModel, ModelCut, cut_before

MOST_KEPT_BYTES = 1 << 30
"""Activations beyond this many bytes are not kept; the whole is run then."""
WORTH_SECONDS = 1.0
"""The seconds that mutants of one cut spend in the whole network before a shortcut is tried."""
WORTH_SHARE = 0.85
"""A shortcut that takes a larger part of the whole's time is not taken."""

ATTEMPTS_SHARE = 0.05
"""The cost of attempts, less what shortcuts saved, up to which another is made: a part of the time of the mutants."""

MOST_ATTEMPTS = 2

Forward = Callable[[int, int], Arrays]
"""The outputs for the samples [start, stop)."""


@dataclass
class _Ledger:
    """The cost and the gain of attempts, in seconds.

    Arguments:
        spent: on mutants that have no shortcut of their own.
        paid: for attempts.
        saved: by shortcuts.
    """

    spent: float = 0.0
    paid: float = 0.0
    saved: float = 0.0

    @property
    def allows_another(self) -> bool:
        """Tells whether another attempt may be made."""
        return self.paid <= ATTEMPTS_SHARE * self.spent + self.saved


@dataclass(eq=False)
class _Place:
    """The facts about one cut.

    Arguments:
        cut: the cut.
        spent: the seconds that mutants of this cut took without it.
        activations: at the cut, by the first sample of each batch.
        kept_bytes: of the activations.
        attempts: how often it was looked for; activations that made room for others' are looked for once more.
        is_ready: whether the shortcut is taken.
        seconds: how long a batch takes by it.
        gain: the seconds that it saves for each batch, measured when it was tried.
    """

    cut: ModelCut
    spent: float = 0.0
    activations: dict[int, list[Any]] = field(default_factory=dict)
    kept_bytes: int = 0
    attempts: int = 0
    is_ready: bool = False
    seconds: float = 0.0
    gain: float = 0.0

    def forget(self) -> None:
        """Drops what is kept for it."""
        self.is_ready, self.kept_bytes = False, 0
        self.activations.clear()

    def refuse(self) -> None:
        """Never take it."""
        self.forget()
        self.attempts = MOST_ATTEMPTS


class Shortcuts:
    """The shortcuts of one base on one set of data.

    Arguments:
        live: the base.
        data: what it is evaluated on.
        whole: the outputs of the whole network.
    """

    def __init__(self, live: LiveModel, data: Data, whole: Forward) -> None:
        self._live = live
        self._data = data
        self._whole = whole
        self._cuts: dict[frozenset[str], tuple[int, ...] | None] = {}
        self._places: dict[tuple[int, ...], _Place] = {}
        self._ledger = _Ledger()

    def forward(self, touched: Collection[str]) -> Forward:
        """Returns the way to run a mutant.

        Arguments:
            touched: the paths of all weights in which it may differ from its base.
        """
        place = self._place(frozenset(touched))
        if place is None:
            return self._whole
        if place.is_ready:
            return self._short(place)
        known = self._earlier(touched)
        if place.attempts >= MOST_ATTEMPTS:
            return known
        return _Attempt(place, self._data, known, self._keep, self._ledger).forward

    def _earlier(self, touched: Collection[str]) -> Forward:
        """The best that is known to be right: another cut before all that is touched, or the whole."""
        variables = {id(variable) for variable in self._variables(touched)}
        ready = [each for each in self._places.values() if each.is_ready and not each.cut.fixed & variables]
        return self._short(min(ready, key=lambda each: each.seconds)) if ready else self._whole

    def _short(self, place: _Place) -> Forward:
        def forward(start: int, stop: int) -> Arrays:
            if not place.is_ready:  # meanwhile its activations made room for those of a later cut
                return self._whole(start, stop)
            self._ledger.saved += place.gain
            return _as_arrays(place.cut.tail(place.activations[start]))

        return forward

    def _variables(self, touched: Collection[str]) -> list[Any]:
        return [self._live.variables[path] for path in touched if path in self._live.variables]

    def _place(self, touched: frozenset[str]) -> _Place | None:
        if touched not in self._cuts:
            variables = self._variables(touched)
            cut = cut_before(self._live.model, variables) if variables else None
            self._cuts[touched] = cut.place if cut is not None else None
            if cut is not None:
                self._places.setdefault(cut.place, _Place(cut))
        key = self._cuts[touched]
        return None if key is None else self._places[key]

    def _keep(self, place: _Place, start: int, activations: list[Any]) -> bool:
        """Keeps a batch's activations, if need be instead of other cuts'. Tells whether there is room."""
        place.activations[start] = activations
        place.kept_bytes += sum(int(np.prod(each.shape)) * each.dtype.size for each in activations)
        others = [other for other in self._places.values() if other.is_ready]
        while others and place.kept_bytes + sum(other.kept_bytes for other in others) > MOST_KEPT_BYTES:
            others.pop(0).forget()
        return place.kept_bytes <= MOST_KEPT_BYTES


class _Attempt:
    """One mutant, run in a way that is known to be right and, once that is worth it, also in the two parts.

    Arguments:
        place: the cut.
        data: all of the data.
        known: the outputs of the whole network, or those by another cut.
        keep: keeps activations of a batch, and says whether there is room.
        ledger: what attempts have cost.
    """

    def __init__(
        self,
        place: _Place,
        data: Data,
        known: Forward,
        keep: Callable[[_Place, int, list[Any]], bool],
        ledger: _Ledger,
    ) -> None:
        self._place = place
        self._data = data
        self._known = known
        self._keep = keep
        self._ledger = ledger
        self._is_trying = False

    def forward(self, start: int, stop: int) -> Arrays:
        """The outputs, after which the shortcut may be ready."""
        begun = perf_counter()
        outputs = self._known(start, stop)
        spent = perf_counter() - begun
        self._place.spent += spent
        self._ledger.spent += spent
        if start == 0:
            batches = -(-self._data.samples // stop)
            is_worth_it = self._place.spent + spent * (batches - 1) >= WORTH_SECONDS
            self._is_trying = is_worth_it and self._ledger.allows_another
            if self._is_trying:
                self._place.forget()
                self._place.attempts += 1
        if self._is_trying:
            begun = perf_counter()
            self._is_trying = self._works(start, stop, outputs, spent)
            self._ledger.paid += perf_counter() - begun
            if not self._is_trying:
                self._place.refuse()
            elif stop >= self._data.samples:
                self._place.is_ready = True
        return outputs

    def _works(self, start: int, stop: int, outputs: Arrays, spent: float) -> bool:
        """Tells whether the two parts give the same outputs for a batch, in less time."""
        cut = self._place.cut
        activations = list(cut.head(rows(self._data.x, start, stop)))
        if cut.masked or not self._keep(self._place, start, activations):
            return False
        result = _as_arrays(cut.tail(activations))
        if start == 0:  # now it is compiled
            begun = perf_counter()
            cut.tail(activations)
            short = perf_counter() - begun
            if short > WORTH_SHARE * spent:
                return False
            self._place.seconds, self._place.gain = short, spent - short
        return _are_same(outputs, result)


def _as_arrays(outputs: Any) -> Arrays:
    if isinstance(outputs, dict):
        return {key: _as_arrays(each) for key, each in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [_as_arrays(each) for each in outputs]
    array: Arrays = outputs.numpy()
    return array


def _are_same(one: Arrays, other: Arrays) -> bool:
    """Tells whether two outputs are equal to the bit."""
    pairs = list(zip(leaves(one), leaves(other), strict=False))
    return bool(pairs) and all(
        left.dtype == right.dtype and left.tobytes() == right.tobytes() for (_, left), (_, right) in pairs
    )
