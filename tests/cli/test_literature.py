"""The operators of the literature: each has an entry, and names lead to ops. `test_literature_laws.py` tests them."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from click.testing import CliRunner
from omegaconf import OmegaConf

import mutspec
from mutspec.cli.main import cli
from mutspec.cli.manual import manual
from mutspec.ops import catalogue
from mutspec.ops.literature import LITERATURE, Operator, called

SURVEYED = {
    "DeepMutation": "GF, WS, NEB, NAI, NS, LD, LAm, AFRm",
    "DeepMutation++": "GF, WS, NEB, NAI, NS, LR, LA, LD, state clear, state reset, state GF, state precision, "
    "gate clear, gate GF, gate precision, RNN weight GF, RNN weight binarise, RNN weight precision",
    "LEMON": "GF, WS, NEB, NAI, NS, ARem, ARep, LA, LC, LR, LS, MLA",
    "PMT": "weights_fuzzing, neurons_freezing",
    "DeepMAACC": "CW",
    "MuFF": "WI, NI",
    "Xavier": "change one cell, block one cell, reciprocal of one cell, negate one cell",
    "TensorFI 2": "zeros, random, bit flips, faults in outputs",
    "TF-Injector": "shuffle_params, zeros, mutate",
    "InjectTF2": "RandomBit, SpecificBit",
    "PyTorchFI": "random_weight, zero weight, multi-weight, single bit flip, neuron faults",
    "PyTorchALFI": "number, bit flip in a range, neuron faults",
    "MRFI": "IntSignBitFlip, IntRandomBitFlip, IntFixedBitFlip, FloatRandomBitFlip, FloatFixedBitFlip, SetZero, "
    "SetValue, IntRandom, IntRandomBit, UniformRandom, NormalRandom, UniformDisturb, NormalDisturb, "
    "faults in activations",
    "Ares": "uniform, normal, sign, percent, fixed-point bit",
    "GoldenEye": "fp32 bit flip, fp16 bit flip, bf16 bit flip, float_n bit flip, fixed-point bit flip, "
    "block floating point bit flip, bit flips in activations",
    "CLASSES": "spatial patterns",
    "AIHWKit": "Discretize, MultNormal, AddNormal, DiscretizeAddNormal, DoReFa, Poly, PCM, ProgNoise, DropConnect",
    "PyGAD": "random, swap, inversion, scramble, adaptive",
    "neat-python": "weight mutation, add node, delete node, add connection, delete connection",
    "TensorNEAT": "weight mutation, add node, delete node, add connection, delete connection",
    "EvoTorch": "GaussianMutation, polynomial, Cosyne",
    "keras-surgeon": "insert layer, delete layer, replace layer, delete channels",
    "DepGraph": "group prune",
    "Net2Net": "Net2Wider, Net2Deeper",
    "network morphism": "add skip, kernel growth, parametric activation",
    "LEMONADE": "insert Conv-BN-ReLU, widen, skip, drop layer, prune filters, conv to separable",
    "regularised evolution": "rewire an input, change an op",
}
"""The operators that a survey of papers and tools found, by source."""


def title(row: Operator) -> str:
    return f"{row.source} {row.name}"


@pytest.mark.parametrize("source", SURVEYED)
def test_every_operator_of_a_source_has_an_entry(source: str) -> None:
    names = {name for row in LITERATURE if source in row.source.split(", ") for name in (row.name, *row.also)}
    assert [name for name in SURVEYED[source].split(", ") if name not in names] == []


def test_the_page_of_an_op_names_those_whose_operator_it_is() -> None:
    ops = catalogue(plugins=False)
    pages = {name: manual(name, kind)["literature"] for name, kind in ops.items()}
    rows = [row for row in LITERATURE if len(row.steps) == 1]
    assert [title(row) for row in rows if not any(each in pages[row.op] for each in row.source.split(", "))] == []


def test_no_operator_has_two_entries() -> None:
    assert [name for name, number in Counter(map(title, LITERATURE)).items() if number > 1] == []


def test_every_operator_on_weights_or_neurons_is_a_step() -> None:
    assert [title(row) for row in LITERATURE if row.level in ("weight", "neuron") and not row.steps] == []


def test_no_operator_on_states_or_activations_is_said_to_be_a_step() -> None:
    assert [title(row) for row in LITERATURE if row.level in ("state", "activation") and row.steps] == []


def test_where_there_is_no_step_there_is_a_reason() -> None:
    assert [title(row) for row in LITERATURE if not row.steps and not row.note] == []


def output(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    if code:
        assert isinstance(result.exception, mutspec.MutspecError)
        return "\n".join(str(problem) for problem in result.exception.problems)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("NAI", "negate_neurons"),
        ("ws", "shuffle_neurons"),
        ("neuron  effect block", "zero_neurons"),
        ("LEMON GF", "gaussian_noise"),
    ],
)
def test_an_op_is_found_by_its_name_in_the_literature(name: str, op: str) -> None:
    text = output("ops", name)
    assert text.splitlines()[0].endswith(f"of the literature is {op}:")
    assert f"\n{op} (" in text
    assert json.loads(output("ops", name, "--json")) == json.loads(output("ops", op, "--json"))


def test_a_name_that_is_several_ops_lists_them() -> None:
    message = output("ops", "random", code=2)
    assert "`reinitialize` (TensorFI 2)" in message
    assert "`uniform_noise` (PyGAD)" in message


def test_a_name_that_is_not_an_op_yet_says_so() -> None:
    assert "`RandomBit` of InjectTF2 is not supported yet" in output("ops", "RandomBit", code=2)


def test_the_ops_own_names_come_first() -> None:
    assert output("ops", "scale").startswith("scale (values)")


def test_a_misspelt_name_of_the_literature_is_guessed() -> None:
    with pytest.raises(mutspec.MutspecError) as caught:
        CliRunner().invoke(cli, ["ops", "weights_fuzing"], catch_exceptions=False)
    assert "weights_fuzzing" in caught.value.problems[0].candidates


def test_the_listing_can_be_narrowed_to_an_op_or_a_name() -> None:
    rows = json.loads(output("ops", "negate", "--literature", "--json"))["literature"]
    assert {row["op"] for row in rows} == {"negate"}
    rows = json.loads(output("ops", "NAI", "--literature", "--json"))["literature"]
    assert [row["source"] for row in rows] == ["DeepMutation", "DeepMutation++", "LEMON"]
    (row,) = called("DeepMutation NAI")
    assert rows[0]["steps"] == [dict(step) for step in row.steps]


def test_the_printed_steps_can_be_read_back_from_the_page() -> None:
    lines = output("ops", "--literature").split("\n")
    printed = [line for line in lines if line.startswith(("      - {", "        "))]
    assert OmegaConf.to_container(OmegaConf.create("\n".join(printed))) == [
        json.loads(json.dumps(step)) for row in LITERATURE for step in row.steps
    ]
