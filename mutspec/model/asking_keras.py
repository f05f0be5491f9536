"""Asking Keras about the layers inside classes of the user's own, where the call has imported these classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from mutspec.model.inner_layers import InKeras, Inner, Placed, has_inner_layers
from mutspec.model.outline import Outline


class _Nobody:
    knows_classes = False

    def tell(self, stored: str) -> Inner | None:
        return None

    def order(self, stored: str) -> tuple[Placed, ...]:
        return ()

    def why_not(self) -> str:
        return ""


def in_keras(outline: Outline, config: Mapping[str, Any]) -> InKeras:
    """Returns what Keras tells of a model in a file, if the call has imported its classes.

    That Keras is there for another reason changes nothing: it tells only of models with a class of the user's own, and
    only if all of them are registered with it.

    Arguments:
        outline: the model's outline.
        config: the serialised model.
    """
    if sys.modules.get("keras") is None or not has_inner_layers(outline):
        return _Nobody()
    from mutspec.model.live.inner_objects import Building

    return Building(config)
