"""Numbers as Hydra reads them. The oracle is OmegaConf itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mutspec.errors import PlanError
from mutspec.language.document import parse
from mutspec.language.nodes import plain
from tests.effort import examples

WORDS = """
0 1 -1 +1 007 010 0x1F 0b101 0o17 1_000 1__0 1:30 1:30:10 190:20:30.15 08 09
1e-3 1e3 1E+3 -1e-3 1.5e3 1.e3 1. .5 -.5 .5e-3 .5e3 1_0.5 1e_3 e3 .e3 1.2.3 + . -. 1e 1e+
.inf -.inf +.inf .INF .nan .NaN inf nan Infinity
true True TRUE tRue false yes Yes no NO on off On y n Y N
null Null ~ nUll None
2024-01-01 2024-01-01T10:00:00Z 12:30 a abc-1 1% 12.5% re:conv.* conv* dense_1/kernel teacher:conv/kernel
"""
SCALARS = WORDS.split()


def ours(text: str) -> object:
    root = plain(parse(f"key: {text}\n").root)
    assert isinstance(root, dict)
    return root["key"]


def omegaconf(text: str) -> object:
    return OmegaConf.to_container(OmegaConf.create(f"key: {text}\n"))["key"]  # type: ignore[index, call-overload]


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("text", SCALARS)
def test_a_bare_scalar_means_what_omegaconf_reads(text: str) -> None:
    assert same(ours(text), omegaconf(text)), (ours(text), omegaconf(text))


@given(st.text(alphabet="0123456789+-._eExboainfulty:~%", min_size=1, max_size=8))
@settings(max_examples=examples(300, 100), deadline=None)
def test_any_word_of_number_characters_means_what_omegaconf_reads(text: str) -> None:
    try:
        theirs = omegaconf(text)
    except Exception:  # OmegaConf crashes on such as `0x_`; we must not
        with pytest.raises(PlanError):
            ours(text)
        return
    if isinstance(theirs, float) and math.isinf(theirs) and "inf" not in text.lower():
        with pytest.raises(PlanError, match="too large"):
            ours(text)
        return
    assert same(ours(text), theirs), (ours(text), theirs)


@pytest.mark.parametrize(("text", "word"), [("010", "octal"), ("1:30", "base 60")])
def test_a_number_that_surprises_is_a_warning(text: str, word: str) -> None:
    (warning,) = parse(f"key: {text}\n").warnings
    assert warning.is_warning
    assert word in warning.message


@pytest.mark.parametrize("text", ["'010'", '"1e-3"', "'yes'", '"on"', "'~'"])
def test_text_in_quotes_is_text(text: str) -> None:
    assert ours(text) == text[1:-1]
