"""The forms of the arguments of image augmentations: Keras makes ranges of numbers. Pure data, and what it means.

Checked against Keras 3.15 by `tests/keras_facts/test_written_configs.py`. What Keras refuses is in no table, so that
Keras says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def _classes(names: str) -> frozenset[str]:
    return frozenset(names.split())


@dataclass(frozen=True, slots=True)
class Range:
    """An argument that is a number or a pair of numbers, and that Keras stores as a pair.

    Arguments:
        least, most: the bounds of a number.
        is_mirrored: whether a number stands for the range from its negative on, instead of from 0 on.
        is_within: whether both numbers of a pair must be within the bounds; if not, the pair may only not miss them.
    """

    least: int
    most: int
    is_mirrored: bool = False
    is_within: bool = False

    def pair(self, value: Any) -> list[Any]:
        """Returns the pair that a value stands for.

        Raises:
            ValueError: Keras refuses it.
        """
        if _is_number(value):
            _require(self.least <= value <= self.most)
            return [-abs(value) if self.is_mirrored else max(-abs(value), self.least), abs(value)]
        _require(_is_pair(value))
        is_inside = all(self.least <= each <= self.most for each in value)
        _require(is_inside if self.is_within else value[0] <= self.most and value[1] >= self.least)
        return sorted(value)


_SIGNED, _PART, _SIGNED_PAIR = Range(-1, 1), Range(0, 1), Range(-1, 1, is_within=True)

RANGES: Mapping[str, tuple[Range, str]] = {
    **dict.fromkeys(("RandomBrightness", "RandomRotation"), (_SIGNED, "factor")),
    **dict.fromkeys(("RandomColorDegeneration", "RandomSaturation"), (_SIGNED, "factor")),
    **dict.fromkeys(("AugMix", "CutMix", "RandAugment", "RandomContrast", "RandomHue"), (_PART, "factor")),
    **dict.fromkeys(("RandomInvert", "RandomPerspective", "RandomSharpness"), (_PART, "factor")),
    **dict.fromkeys(("RandomElasticTransform", "RandomErasing"), (_PART, "factor scale")),
    "RandomGaussianBlur": (_PART, "factor sigma"),
    "RandomPosterization": (Range(1, 8), "factor"),
    "RandomShear": (Range(0, 1, is_mirrored=True, is_within=True), "x_factor y_factor"),
    "Solarization": (Range(0, 1, is_within=True), "addition_factor threshold_factor"),
}
"""The ranges of arguments, by class, and the keys of these."""

_SORTED = _classes(
    "RandomBrightness RandomColorDegeneration RandomPosterization RandomSaturation RandomSharpness Solarization"
)
"""Classes that sort their `value_range`."""

_CHOICES: Mapping[str, frozenset[str]] = {
    "fill_mode": frozenset({"constant", "nearest", "reflect", "wrap"}),
    "interpolation": frozenset({"bilinear", "nearest"}),
    "mode": frozenset({"horizontal", "horizontal_and_vertical", "vertical"}),
}

AUGMENTATIONS = _classes(
    """
    AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
    RandomZoom Solarization
    """
)
"""The classes of image augmentations."""


def written_augmentation(class_name: str, key: str, value: Any) -> Any:
    """Returns an argument of an augmentation as Keras writes it.

    Raises:
        ValueError: Keras may refuse it.
    """
    ranges, keys = RANGES.get(class_name, (None, ""))
    if ranges is not None and key in keys.split():
        return ranges.pair(value)
    if key in ("height_factor", "width_factor") and value is not None:
        _SIGNED_PAIR.pair(value)
    elif key == "kernel_size":
        value = [value, value] if isinstance(value, int) else value
        _require(_is_pair(value) and all(each % 2 == 1 for each in value))
    elif key == "value_range" and class_name in _SORTED:
        _require(_is_pair(value))
        return sorted(value)
    elif key in _CHOICES:
        _require(value in _CHOICES[key])
    return value


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("a value that Keras refuses")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))
