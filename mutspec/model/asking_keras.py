"""Asks Keras about layers inside classes of the user's own, if the call has imported these classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from mutspec.model.inner_layers import InKeras, Inner, Placed, has_inner_layers
from mutspec.model.outline import Outline


class _WithoutKeras:
    knows_classes = False

    def describe(self, stored: str) -> Inner | None:
        return None

    def order(self, stored: str) -> tuple[Placed, ...]:
        return ()

    def why_not(self) -> str:
        return ""


def in_keras(outline: Outline, config: Mapping[str, Any]) -> InKeras:
    """Returns what Keras knows about a model in a file, if the call has imported the model's classes.

    The result does not depend on whether Keras was imported for another reason: Keras is asked only about models with
    classes of the user's own, and only if all of these are registered.

    Arguments:
        outline: the model's outline.
        config: the serialised model.
    """
    if sys.modules.get("keras") is None or not has_inner_layers(outline):
        return _WithoutKeras()
    from mutspec.model.live.inner_objects import Building

    return Building(config)
