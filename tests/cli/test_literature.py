"""The operators of the literature: each has its entry, each step is one that runs, and names lead to ops."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

import mutspec
from mutspec.cli.literature import LITERATURE, Operator, called
from mutspec.cli.main import cli
from mutspec.execute.words import flow
from mutspec.language import load_text
from mutspec.ops import catalogue
from tests.toys import mutate

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
    "PyTorchFI": "random_weight, zero weight, multi-weight, single bit flip",
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

NOT_YET = {"IntRandom", "IntRandomBit", "float_n bit flip", "block floating point bit flip", "DoReFa", "PCM"}
NOT_YET |= {"adaptive", "PolynomialMutation", "CosynePermutation"}
"""The operators on weights that no op is."""

STEPS = [row for row in LITERATURE if row.step]


def title(row: Operator) -> str:
    return f"{row.source} {row.name}"


def row_of(name: str) -> Operator:
    (row,) = called(name)
    return row


@pytest.mark.parametrize("source", SURVEYED)
def test_every_operator_of_a_source_has_an_entry(source: str) -> None:
    names = {name for row in LITERATURE if source in row.source.split(", ") for name in (row.name, *row.also)}
    assert [name for name in SURVEYED[source].split(", ") if name not in names] == []


def test_no_operator_has_two_entries() -> None:
    assert [name for name, number in Counter(map(title, LITERATURE)).items() if number > 1] == []


def test_every_operator_on_weights_or_neurons_is_a_step_but_for_those_known_not_to_be() -> None:
    assert {row.name for row in LITERATURE if row.level in ("weight", "neuron") and not row.step} == NOT_YET


def test_no_operator_on_states_or_activations_is_said_to_be_a_step() -> None:
    assert [title(row) for row in LITERATURE if row.level in ("state", "activation") and row.step] == []


def test_where_there_is_no_step_there_is_a_reason() -> None:
    assert [title(row) for row in LITERATURE if not row.step and not row.note] == []


@pytest.fixture(scope="module")
def model() -> Any:
    """A model with a layer of each kind that the steps name, with 64 units each, so that 1 % of them is one."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv_1"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv_2"),
            layers.GlobalAveragePooling2D(),
            layers.Reshape((4, 16)),
            layers.LSTM(64, name="lstm_1"),
            layers.Dense(64, activation="relu", name="dense_1"),
            layers.Dropout(0.5),
            layers.Dense(64, activation="relu", name="dense_2"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    random = np.random.default_rng(5)
    for variable in made.trainable_variables:
        variable.assign(random.normal(0, 0.3, variable.shape).astype("float32"))
    return made


def values(model: Any) -> dict[str, np.ndarray]:
    return {variable.path.removeprefix(f"{model.name}/"): variable.numpy() for variable in model.trainable_variables}


def mutant(model: Any, row: Operator, **more: Any) -> dict[str, np.ndarray]:
    """The weights while a plan of the operator's step, with other values, is applied."""
    with mutspec.mutated(mutspec.plan({"steps": [{**row.step, **more}]}), model):
        return values(model)


@pytest.mark.parametrize("row", STEPS, ids=title)
def test_a_step_as_it_is_printed_is_a_plan_that_runs_and_changes_the_model(row: Operator, model: Any) -> None:
    text = f"mutspec: 1\nsteps:\n- {flow(row.step)}\n"
    plan = load_text(text, catalogue(plugins=False))
    assert plan.steps == mutspec.plan({"steps": [dict(row.step)]}).steps
    planned = mutspec.dry_run(plan, model).to_json()
    assert planned["steps"][0]["targets"] or any(planned["layers"].values()) or "allow_empty" in row.step
    if row.level == "architecture" and row.op != "swap_weights":
        changed = mutspec.apply(plan, model)
        assert not mutspec.diff(model, changed).identical
        assert np.isfinite(changed.predict(np.ones((1, 6, 6, 3)), verbose=0)).all()
        return
    before = values(model)
    with mutspec.mutated(plan, model) as report:
        after = values(model)
    changed = sum(int((before[path].view("u4") != after[path].view("u4")).sum()) for path in before)
    assert changed == sum(target["changed"] for target in report.to_json()["steps"][0]["targets"])
    assert changed > 0 or "allow_empty" in row.step


def matrices(weights: dict[str, np.ndarray], *layers: str) -> dict[str, np.ndarray]:
    """The kernels of layers as matrices with a column for each neuron."""
    return {layer: weights[f"{layer}/kernel"].reshape(-1, weights[f"{layer}/kernel"].shape[-1]) for layer in layers}


def changed_neurons(before: np.ndarray, after: np.ndarray) -> list[int]:
    return np.flatnonzero((before != after).any(axis=0)).tolist()


def entries(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All weights of the model, in its order, one behind the other."""
    flat = [np.concatenate([each[path].ravel() for path in before]) for each in (before, after)]
    return flat[0], flat[1]


def standard_normal(draws: np.ndarray) -> bool:
    """Whether draws are from N(0, 1): the Kolmogorov–Smirnov test, with a false alarm in a million."""
    return bool(stats.kstest(draws.astype(np.float64), "norm").pvalue > 1e-6)


WIDE = ("conv_1", "conv_2", "dense_1", "dense_2")
"""The layers of which 1 % of the neurons is one."""


def test_gaussian_fuzzing_adds_noise_to_one_percent_of_each_weight(model: Any) -> None:
    before = values(model)
    after = mutant(model, row_of("DeepMutation GF"))
    counts = {path: int((before[path] != after[path]).sum()) for path in before}
    assert counts == {path: int(0.01 * weight.size + 0.5) for path, weight in before.items()}
    flat, fuzzed = entries(before, after)
    assert standard_normal((fuzzed - flat)[fuzzed != flat] / 0.1)


def test_gaussian_fuzzing_of_deepmutation_plus_plus_multiplies_one_percent_of_all_weights(model: Any) -> None:
    before, after = entries(values(model), mutant(model, row_of("DeepMutation++ GF")))
    touched = before != after
    of_the_lstm = 64 * 4 * (16 + 64 + 1)
    assert touched.sum() == int(0.01 * (before.size - of_the_lstm) + 0.5)
    assert standard_normal((after[touched] / before[touched] - 1) / 0.5)


def test_lemons_fuzzing_is_in_units_of_the_standard_deviation_of_one_layers_weights(model: Any) -> None:
    before, after = values(model), mutant(model, row_of("LEMON GF"))
    touched = [path for path in before if not np.array_equal(before[path], after[path])]
    assert len({path.partition("/")[0] for path in touched}) == 1
    kernel = next(path for path in touched if path.endswith("kernel"))
    noise = (after[kernel] - before[kernel])[after[kernel] != before[kernel]]
    assert len(noise) == int(0.3 * before[kernel].size + 0.5)
    assert standard_normal(noise / (0.1 * before[kernel].std()))


def test_weights_fuzzing_of_pmt_is_relative_to_each_weight(model: Any) -> None:
    before, after = entries(values(model), mutant(model, row_of("weights_fuzzing")))
    touched = before != after
    assert standard_normal((after - before)[touched] / (0.1 * np.abs(before[touched])))


def test_weight_shuffling_permutes_the_weights_of_one_neuron(model: Any) -> None:
    before, after = (matrices(each, *WIDE) for each in (values(model), mutant(model, row_of("DeepMutation WS"))))
    for layer in WIDE:
        (neuron,) = changed_neurons(before[layer], after[layer])
        assert sorted(before[layer][:, neuron]) == sorted(after[layer][:, neuron])


def test_neuron_effect_block_zeroes_the_weights_of_one_neuron_and_no_bias(model: Any) -> None:
    weights, blocked = values(model), mutant(model, row_of("DeepMutation NEB"))
    before, after = (matrices(each, *WIDE) for each in (weights, blocked))
    for layer in WIDE:
        (neuron,) = changed_neurons(before[layer], after[layer])
        assert not after[layer][:, neuron].any()
        np.testing.assert_array_equal(blocked[f"{layer}/bias"], weights[f"{layer}/bias"])


@pytest.mark.parametrize("name", ["DeepMutation++ NEB", "neurons_freezing"])
def test_neurons_are_blocked_with_their_biases_one_of_ten_too(name: str, model: Any) -> None:
    weights, blocked = values(model), mutant(model, row_of(name))
    before, after = (matrices(each, *WIDE, "head") for each in (weights, blocked))
    for layer in (*WIDE, "head"):
        (neuron,) = changed_neurons(before[layer], after[layer])
        assert not after[layer][:, neuron].any()
        assert np.flatnonzero(blocked[f"{layer}/bias"] != weights[f"{layer}/bias"]).tolist() == [neuron]
        assert blocked[f"{layer}/bias"][neuron] == 0


def test_neuron_activation_inverse_negates_the_weights_of_one_neuron(model: Any) -> None:
    before, after = (matrices(each, *WIDE) for each in (values(model), mutant(model, row_of("DeepMutation NAI"))))
    for layer in WIDE:
        (neuron,) = changed_neurons(before[layer], after[layer])
        np.testing.assert_array_equal(after[layer][:, neuron], -before[layer][:, neuron])


def test_neuron_switch_exchanges_two_neurons(model: Any) -> None:
    before, after = (matrices(each, *WIDE) for each in (values(model), mutant(model, row_of("DeepMutation NS"))))
    for layer in WIDE:
        one, other = changed_neurons(before[layer], after[layer])
        np.testing.assert_array_equal(after[layer][:, [one, other]], before[layer][:, [other, one]])


@pytest.mark.parametrize("neuron", [0, 63])
def test_change_weights_multiplies_one_neuron_by_eleven_tenths(neuron: int, model: Any) -> None:
    before, after = values(model), mutant(model, row_of("CW"), indices=[neuron])
    for path in ("dense_1/kernel", "dense_1/bias"):
        expected = before[path].copy()
        expected[..., neuron] *= np.float32(1.1)
        np.testing.assert_array_equal(after[path], expected)


def test_binarising_recurrent_weights_leaves_their_signs(model: Any) -> None:
    before, after = values(model), mutant(model, row_of("RNN weight binarise"))
    for path in ("lstm_1/lstm_cell/kernel", "lstm_1/lstm_cell/recurrent_kernel"):
        touched = before[path] != after[path]
        assert touched.sum() == int(0.01 * before[path].size + 0.5)
        np.testing.assert_array_equal(after[path][touched], np.where(before[path][touched] < 0, -1, 1))


def test_the_reciprocal_of_a_cell_is_one_over_it(model: Any) -> None:
    before, after = values(model)["dense_1/kernel"], mutant(model, row_of("reciprocal of one cell"))["dense_1/kernel"]
    expected = before.copy()
    expected[0, 0] = 1 / before[0, 0]
    np.testing.assert_array_equal(after, expected)


def test_the_flip_of_an_8_bit_value_flips_one_of_eight_bits_of_one_weight(model: Any) -> None:
    for seed in range(20):
        before, after = values(model), mutant(model, row_of("PyTorchFI single bit flip"), seed=seed)
        (path,) = (path for path in before if not np.array_equal(before[path], after[path]))
        (place,) = np.flatnonzero(before[path] != after[path])
        step = np.abs(before[path]).max() / 127
        levels = [int(np.rint(each[path].flat[place] / step)) for each in (before, after)]
        flipped = (levels[0] ^ levels[1]) & 0xFF
        assert flipped.bit_count() == 1


def test_percent_of_ares_changes_one_percent_of_the_weights_by_at_most_a_tenth(model: Any) -> None:
    before, after = values(model), mutant(model, row_of("percent"))
    ratios = []
    for path in ("conv_2/kernel", "dense_1/kernel", "lstm_1/lstm_cell/kernel"):
        touched = before[path] != after[path]
        assert touched.sum() == int(0.01 * before[path].size + 0.5)
        ratios.append(after[path][touched] / before[path][touched] - 1)
    assert stats.kstest(np.concatenate(ratios), "uniform", (-0.1, 0.2)).pvalue > 1e-6


def test_the_fixed_point_bit_of_ares_is_one_of_a_number_with_seven_bits_after_the_point(model: Any) -> None:
    before, after = values(model)["dense_1/kernel"], mutant(model, row_of("fixed-point bit"))["dense_1/kernel"]
    touched = before != after
    levels = [(each[touched] * 128).clip(-128, 127).round().astype(np.int8).view("u1") for each in (before, after)]
    assert {int(each).bit_count() for each in levels[0] ^ levels[1]} == {1}


def test_aihwkits_normal_noises_have_their_units(model: Any) -> None:
    weight = values(model)["conv_2/kernel"]
    added = mutant(model, row_of("AddNormal"))["conv_2/kernel"]
    multiplied = mutant(model, row_of("MultNormal"))["conv_2/kernel"]
    assert standard_normal((added - weight).ravel() / (0.1 * np.abs(weight).max()))
    assert standard_normal((multiplied / weight - 1).ravel() / 0.1)


def test_discretize_of_aihwkit_moves_weights_to_multiples_of_a_tenth_of_the_largest(model: Any) -> None:
    weight, levels = values(model)["conv_2/kernel"], mutant(model, row_of("Discretize"))["conv_2/kernel"]
    largest = np.abs(weight).max()
    np.testing.assert_allclose(levels, largest * 0.1 * np.rint(weight / largest / 0.1), atol=1e-6)
    assert len(np.unique(levels)) <= 21


def deviation(weight: np.ndarray) -> np.ndarray:
    """The polynomial of AIHWKit, by its own coefficients, in units of the largest weight."""
    share = np.abs(weight) / np.abs(weight).max()
    return np.abs(weight).max() * (0.26348 + 1.965 * share - 1.1731 * share**2)


def test_poly_of_aihwkit_adds_noise_by_a_polynomial_of_the_weight(model: Any) -> None:
    weight, noisy = values(model)["conv_2/kernel"], mutant(model, row_of("Poly"))["conv_2/kernel"]
    assert standard_normal(((noisy - weight) / (0.1 * deviation(weight))).ravel())


def test_prognoise_of_aihwkit_divides_it_by_g_max_and_keeps_signs(model: Any) -> None:
    weight, noisy = values(model)["conv_2/kernel"], mutant(model, row_of("ProgNoise"))["conv_2/kernel"]
    np.testing.assert_array_equal(np.sign(noisy), np.sign(weight))
    is_far = np.abs(weight) > 6 * deviation(weight) / 25
    assert standard_normal(((noisy - weight) / (deviation(weight) / 25))[is_far])


def test_dropconnect_zeroes_about_a_tenth_of_the_weights(model: Any) -> None:
    dropped = mutant(model, row_of("DropConnect"))["conv_2/kernel"]
    assert stats.binomtest(int((dropped == 0).sum()), dropped.size, 0.1).pvalue > 1e-6


def test_random_mutation_of_pygad_adds_to_a_tenth_of_all_genes(model: Any) -> None:
    before, after = entries(values(model), mutant(model, row_of("PyGAD random")))
    added = (after - before)[before != after]
    assert abs(len(added) - 0.1 * before.size) < 1
    assert stats.kstest(added, "uniform", (-1, 2)).pvalue > 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_pygads_swap_inversion_and_scramble_move_genes_of_the_flat_vector(seed: int, model: Any) -> None:
    before = values(model)
    genes, swapped = entries(before, mutant(model, row_of("swap"), seed=seed))
    one, other = np.flatnonzero(genes != swapped)
    assert (swapped[one], swapped[other]) == (genes[other], genes[one])
    _, reversed_ = entries(before, mutant(model, row_of("inversion"), seed=seed))
    first, *_, last = np.flatnonzero(genes != reversed_)
    np.testing.assert_array_equal(reversed_[first : last + 1], genes[first : last + 1][::-1])
    _, scrambled = entries(before, mutant(model, row_of("scramble"), seed=seed))
    moved = scrambled != genes
    first, *_, last = np.flatnonzero(moved)
    np.testing.assert_array_equal(np.sort(scrambled[first : last + 1]), np.sort(genes[first : last + 1]))
    assert moved.sum() > 0.99 * (last - first)


def test_weight_mutation_of_neat_adds_to_eight_tenths_and_draws_one_tenth_anew() -> None:
    weight = np.full((1000, 100), 100.0, np.float32)
    after = mutate({"dense/kernel": weight}, row_of("weight mutation").step).tensors["dense/kernel"].ravel()
    kept, anew = after == 100, after < 50
    noised = ~kept & ~anew
    shares = stats.chisquare([noised.sum(), anew.sum(), kept.sum()], [80_000, 10_000, 10_000])
    assert shares.pvalue > 1e-6
    assert standard_normal(after[anew])
    assert standard_normal((after[noised] - 100) / 0.5)


@pytest.mark.parametrize("name", ["Net2Deeper", "parametric activation"])
def test_function_preserving_operators_preserve_the_function(name: str, model: Any) -> None:
    images = np.random.default_rng(1).random((5, 6, 6, 3), np.float32)
    deeper = mutspec.apply(mutspec.plan({"steps": [dict(row_of(name).step)]}), model)
    assert len(deeper.layers) == len(model.layers) + 1
    np.testing.assert_allclose(deeper.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)


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


def test_a_name_that_is_no_op_yet_says_so() -> None:
    assert "`Cosyne` of EvoTorch is not there yet" in output("ops", "Cosyne", code=2)


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
    assert rows[0]["step"] == dict(row_of("DeepMutation NAI").step)


def test_every_printed_step_can_be_read_back_from_the_page() -> None:
    lines = output("ops", "--literature").split("\n")
    blocks = " ".join(line.strip() if line.startswith("      ") else "\n" for line in lines).split("\n")
    steps = [yaml.safe_load(block) for block in map(str.strip, blocks) if block.startswith("{op:")]
    assert [step["op"] for step in steps] == [row.op for row in STEPS]
