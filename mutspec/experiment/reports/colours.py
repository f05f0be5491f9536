"""The colours of lines, on light and on dark pages: each at least 3:1 against its page, as WCAG asks of graphics."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Colour:
    """A colour on a light page and what stands for it on a dark one."""

    light: str
    dark: str

    @property
    def style(self) -> str:
        """The CSS variables of the colour, of which the page's style sheet uses one."""
        return f"--light:{self.light};--dark:{self.dark}"


PALETTE = (
    Colour("#0072b2", "#5aaee6"),
    Colour("#d55e00", "#ff9350"),
    Colour("#00855f", "#35c69b"),
    Colour("#b0588c", "#e59cc6"),
    Colour("#a87400", "#f0b541"),
    Colour("#7048c8", "#b79dff"),
    Colour("#5b5b5b", "#b0b0b0"),
    Colour("#7a5c12", "#cfb568"),
)
"""Okabe and Ito's, which colour-blind people tell apart; the light ones darker on light pages, and the reverse.

In the place of their sky blue is a violet: dark enough for white paper, sky blue looks like their blue.
"""

_RAMP = (Colour("#35245f", "#7f8cf0"), Colour("#2f6f9f", "#3fb3c4"), Colour("#4f9a3f", "#d3e58b"))


def ramp(number: int) -> tuple[Colour, ...]:
    """So many colours from low to high."""
    return tuple(_along(index / max(number - 1, 1)) for index in range(number))


def _along(part: float) -> Colour:
    stops = list(pairwise(_RAMP))
    index = min(int(part * len(stops)), len(stops) - 1)
    start, end = stops[index]
    within = part * len(stops) - index
    return Colour(_mixed(start.light, end.light, within), _mixed(start.dark, end.dark, within))


def _mixed(one: str, other: str, part: float) -> str:
    channels = (round(int(one[at : at + 2], 16) * (1 - part) + int(other[at : at + 2], 16) * part) for at in (1, 3, 5))
    return "#" + "".join(f"{channel:02x}" for channel in channels)
