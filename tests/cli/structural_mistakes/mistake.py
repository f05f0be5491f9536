"""Mistakes in structural steps, and short ways to write them down."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """A mistake in a step.

    Arguments:
        steps: the steps, from line 3 of the plan on; one each.
        at: the line and column that must be named, `3:29`.
        said: what standard error must contain: what is wrong, and how to fix it.
        model: the model to which the plan is applied.
        output: the output; a dry-run if empty.
        blocks: the plan's blocks, on line 2; the steps are one line further down then.
    """

    steps: tuple[str, ...] | str
    at: str
    said: tuple[str, ...]
    model: str = "digits.keras"
    output: str = "out.keras"
    blocks: str = ""


def insert(layer: str, at: str, *said: str, where: str = "after: dense_1") -> Mistake:
    """A layer that is inserted into the digits model, from column 45 on where it stands after `dense_1`."""
    return Mistake(f"op: insert_layer, {where}, layer: {layer}", at, said)


def step(text: str, at: str, *said: str, model: str = "digits") -> Mistake:
    """One step, put on a model."""
    return Mistake(f"op: {text}", at, said, f"{model}.keras")


def block(blocks: str, at: str, *said: str, layer: str = "{block: a}") -> Mistake:
    """A block of the plan, put into the digits model by the step on line 4."""
    return Mistake(f"op: insert_layer, after: dense_1, layer: {layer}", at, said, blocks=blocks)


DROPOUT = "layer: {type: Dropout, rate: 0.1}"
