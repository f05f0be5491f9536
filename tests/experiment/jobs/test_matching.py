"""Names of layers on their way through Hydra's and OmegaConf's grammars, and the plan's, to the layer alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mutspec.experiment.jobs.matching import quoted
from mutspec.experiment.jobs.template import parsed
from mutspec.model._patterns import NameTable
from mutspec.model.select import as_glob, exact_pattern
from tests.effort import examples

PIECES = (
    *("${oc.env:HOME}", "${params.std}", "${", "}", "{", "$", "???", "null", "true", "nan", "1e3", "re:", ":", "~"),
    *("glob(", "'", '"', "\\", "\\'", ",", "=", "(", ")", "[", "]", "*", "?", "!", " "),
    *("\t", "/", "..", "@", "#", "%", "é", "|"),
)
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), min_size=1, max_size=5).map("".join).filter(bool)


@settings(max_examples=examples(400, 100), deadline=None)
@given(NAMES)
def test_a_name_comes_out_of_hydra_as_it_went_in(name: str) -> None:
    pattern = exact_pattern(name)
    swept = parsed(f"key={quoted(pattern)},{quoted('other')}")
    first = parsed(f"key={next(swept.sweep_string_iterator())}")
    assert first.value() == pattern
    assert parsed(f"key={first.get_value_element_as_str()}").value() == pattern
    assert OmegaConf.create({"key": pattern}).key == pattern  # nothing is resolved


@settings(max_examples=examples(400, 100), deadline=None)
@given(NAMES.filter(lambda name: "\n" not in name))
def test_a_name_stands_for_what_is_called_so_alone(name: str) -> None:
    layers = NameTable({name: 1, f"{name}x": 2, f"x{name}": 4, "other": 8})
    assert layers.glob(exact_pattern(name)) == 1
    assert layers.glob(as_glob(name)) == 1
    assert not exact_pattern(name).startswith("re:")
