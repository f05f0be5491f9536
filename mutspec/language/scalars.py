"""What a bare YAML scalar means: exactly what OmegaConf's loader, and so Hydra, makes of it.

OmegaConf reads YAML 1.1 with two changes: `1e-3` is a float, and dates are text. Its rules for floats are a fact of
that library (2.3), restated here because importing it costs more than the whole of `mutspec validate`; a test compares.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

_PREFIX = "tag:yaml.org,2002:"

_OMEGACONF_FLOAT = re.compile(
    r"""^(?:
     [-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+)
    |\.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?
    |[-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class _PlanResolver(Resolver):
    """YAML 1.1's implicit types, with OmegaConf's floats."""


_PlanResolver.add_implicit_resolver(_PREFIX + "float", _OMEGACONF_FLOAT, list("-+0123456789."))

_RESOLVER: Any = _PlanResolver()
_CONSTRUCTOR = SafeConstructor()
_MAY_BE_SPECIAL = frozenset("-+0123456789.yYnNtTfFoO~")

BOOLEAN_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})


_WITHIN = "write the number that is meant; the largest are about 1.8e308"


class UnreadableNumberError(ValueError):
    """A scalar that has the form of a number and no value: why, and what may help."""

    def __init__(self, why: str, hint: str = "") -> None:
        """Keep the remedy too."""
        super().__init__(why)
        self.hint = hint


def scalar_value(text: str) -> str | int | float | bool | None:
    """The value of a scalar that is written without quotes.

    Raises:
        UnreadableNumberError: if it looks like a number and is none, such as `0x_` or `1e999`.
    """
    if not text:
        return None
    if text[0] not in _MAY_BE_SPECIAL:
        return text
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    kind = tag.removeprefix(_PREFIX)
    if kind == "null":
        return None
    if kind not in ("bool", "int", "float"):
        return text
    return _construct(kind, tag, text)


def _construct(kind: str, tag: str, text: str) -> bool | int | float:
    node = yaml.ScalarNode(tag, text)
    construct: Any = getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")
    try:
        value: bool | int | float = construct(node)
    except (ValueError, OverflowError):
        if text.lstrip("+-").isdecimal():  # Python reads no more than some thousand digits
            raise UnreadableNumberError("is too large a number", _WITHIN) from None
        raise UnreadableNumberError("looks like a number, and is none that can be read") from None
    if isinstance(value, float) and math.isinf(value) and "inf" not in text.lower():
        raise UnreadableNumberError("is too large for a floating-point number", _WITHIN)
    return value


def surprise(text: str, value: object) -> str:
    """What may surprise about a bare scalar's value, as a sentence; empty if nothing does."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if ":" in text:
        return f"YAML reads `{text}` in base 60, as {value}"
    if isinstance(value, int) and re.match(r"[-+]?0[0-9_]", text):
        return f"YAML reads `{text}` as an octal number, {value}"
    return ""
