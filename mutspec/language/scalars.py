"""The value of a bare YAML scalar, exactly as OmegaConf's loader, and so Hydra, reads it.

OmegaConf reads YAML 1.1 with two changes: `1e-3` is a float, and dates are text. Its pattern of floats (OmegaConf 2.3)
is repeated here, because importing OmegaConf takes longer than all of `mutspec validate`. A test compares the two.
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
    """Finds the implicit types of YAML 1.1, with OmegaConf's floats."""


_PlanResolver.add_implicit_resolver(_PREFIX + "float", _OMEGACONF_FLOAT, list("-+0123456789."))

_RESOLVER: Any = _PlanResolver()
_CONSTRUCTOR = SafeConstructor()
_MAY_BE_SPECIAL = frozenset("-+0123456789.yYnNtTfFoO~")

BOOLEAN_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})


_LARGEST_HINT = "the largest numbers are about 1.8e308"


class UnreadableNumberError(ValueError):
    """A scalar that has the form of a number but no value: the reason, and a hint."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def scalar_value(text: str) -> str | int | float | bool | None:
    """Returns the value of a scalar that is written without quotes.

    Raises:
        UnreadableNumberError: if it looks like a number but cannot be read, such as `0x_` or `1e999`.
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
        if text.lstrip("+-").isdecimal():  # Python reads at most 4,300 digits (sys.get_int_max_str_digits)
            raise UnreadableNumberError("is too large a number", _LARGEST_HINT) from None
        raise UnreadableNumberError("looks like a number, but cannot be read as one") from None
    if isinstance(value, float) and math.isinf(value) and "inf" not in text.lower():
        raise UnreadableNumberError("is too large for a floating-point number", _LARGEST_HINT)
    return value


def surprising_number(text: str, value: object) -> str:
    """Returns a sentence about a bare number that YAML reads in base 8 or 60; else an empty text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if ":" in text:
        return f"YAML reads `{text}` in base 60, as {value}"
    if isinstance(value, int) and re.match(r"[-+]?0[0-9_]", text):
        return f"YAML reads `{text}` as an octal number, {value}"
    return ""
