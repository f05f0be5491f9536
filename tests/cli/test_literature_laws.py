"""The operators of the literature, each on a Keras model: its step does what the operator's authors say it does.

Which entries differ, and by how much, depends on the stream; so each law is of what holds for any: which weights and
how many of their entries or neurons change, what they become, and that nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

import mutspec
from mutspec.language import load_text
from mutspec.ops import catalogue
from mutspec.ops.literature import LITERATURE, Operator, called
from mutspec.text.words import flow
from tests.cli.laws_of_devices import LAWS_OF_DEVICES
from tests.toys import mutate

Weights = Mapping[str, np.ndarray]


class Mutant(Protocol):
    """The weights of the model while the steps of an operator are applied, with other values for some of their keys."""

    def __call__(self, seed: int = 0, **keys: Any) -> Weights: ...


Law = Callable[[Weights, Mutant], None]


def title(row: Operator) -> str:
    return f"{row.source} {row.name}"


STEPS = [row for row in LITERATURE if row.steps]
ON_WEIGHTS = [row for row in STEPS if row.level in ("weight", "neuron")]


def new_model(seed: int) -> Any:
    """A model with a layer of each kind that the steps name, with 64 units each, so that 1 % of them is one."""
    import keras

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
    random = np.random.default_rng(seed)
    for variable in made.trainable_variables:
        variable.assign(random.normal(0, 0.3, variable.shape).astype("float32"))
    return made


@pytest.fixture(scope="module")
def model() -> Any:
    return new_model(5)


@pytest.fixture(scope="module")
def other() -> Any:
    return new_model(6)


def values(model: Any) -> dict[str, np.ndarray]:
    """The weights by path; of those below a cell, without the cell."""
    names = (variable.path.removeprefix(f"{model.name}/") for variable in model.trainable_variables)
    return {
        name.replace("/lstm_cell", ""): variable.numpy()
        for name, variable in zip(names, model.trainable_variables, strict=True)
    }


def document(row: Operator, seed: int = 0, **keys: Any) -> dict[str, Any]:
    """A plan of an operator's steps, with other values for some of their keys."""
    steps = [{key: keys.get(key, value) for key, value in step.items()} for step in row.steps]
    inputs = {"inputs": {"other": {}}} if "other:" in str(steps) else {}
    return {"seed": seed, **inputs, "steps": steps}


def binding(row: Operator, other: Any) -> dict[str, Any]:
    return {"inputs": {"other": other}} if "other:" in str(row.steps) else {}


# What an operator does to single weights.


_VARIABLE = "dense_1/kernel"


class Entries(NamedTuple):
    """The entries that a step touches, and what they become.

    Arguments:
        amount: as text: `1% of each`, `1% of all`, `5 of each`, `1 of all`, `rate 0.1`.
        of: which weights: a part of their paths; `layers` are all but the LSTM.
        becomes: the expected values of the touched entries of one weight.
        keys: values for keys of the step with which there is enough to measure.
        usual: the amount without them.
        seeds: how many mutants are looked at.
        is_one_layer: whether one layer, drawn, is changed alone.
    """

    amount: str
    of: str
    becomes: Becomes
    keys: Mapping[str, Any] = {}
    seeds: int = 1
    is_one_layer: bool = False
    usual: str = ""

    def __call__(self, before: Weights, mutant: Mutant) -> None:
        if self.usual:
            self._replace(amount=self.usual, keys={}, usual="", becomes=ANYTHING, seeds=5)(before, mutant)
        drawn: list[np.ndarray] = []
        seen: set[str] = set()
        for seed in range(self.seeds):
            after = mutant(seed, **self.keys)
            touched = {path: before[path].view("u4") != after[path].view("u4") for path in before}
            paths = [path for path in before if self._is_meant(path)]
            if self.is_one_layer:
                (layer,) = {path.partition("/")[0] for path in before if touched[path].any()}
                paths = [path for path in paths if path.startswith(f"{layer}/")]
            self._count({path: touched[path] for path in paths})
            seen |= {path.partition("/")[0] for path in paths if touched[path].any()}
            assert not any(touched[path].any() for path in before.keys() - set(paths)), "others are touched"
            drawn += [
                self.becomes.of(before[path][touched[path]], after[path][touched[path]], before[path]) for path in paths
            ]
        self.becomes.check(np.concatenate(drawn).astype(np.float64))
        assert len(seen) > 1 or self.becomes is ANYTHING or self.of in ("lstm", _VARIABLE)

    def _is_meant(self, path: str) -> bool:
        wanted = {"all": "", "kernels": "kernel", "layers": "", "conv": "kernel", "lstm": "kernel"}
        is_there = {"layers": "lstm" not in path, "conv": "conv" in path, "lstm": "lstm" in path}.get(self.of, True)
        return wanted.get(self.of, self.of) in path and is_there

    def _count(self, touched: Weights) -> None:
        counts, sizes = ({path: int(f(each)) for path, each in touched.items()} for f in (np.sum, np.size))
        how_many, _, pool = self.amount.rpartition(" of ")
        if pool.startswith("rate "):
            rate = float(pool.removeprefix("rate "))
            assert stats.binomtest(sum(counts.values()), sum(sizes.values()), rate).pvalue > 1e-6
            return
        if pool == "all":
            counts, sizes = {"": sum(counts.values())}, {"": sum(sizes.values())}
        if how_many.endswith("%"):
            share = float(how_many.removesuffix("%")) / 100
            assert counts == {path: int(share * size + 0.5) for path, size in sizes.items()}
        else:
            assert set(counts.values()) == {int(how_many)}


class Becomes(Protocol):
    """What entries become: what of them is drawn, or how far they are from what they must be."""

    def of(self, before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray: ...
    def check(self, drawn: np.ndarray) -> None: ...


class Anything:
    """What entries become is looked at elsewhere."""

    def of(self, before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return before

    def check(self, drawn: np.ndarray) -> None:
        pass


ANYTHING = Anything()


class Drawn(NamedTuple):
    """What is drawn for an entry, which must be from a law: by the Kolmogorov–Smirnov test, one false alarm in 10⁶."""

    law: Any
    how: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def of(self, before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return self.how(before, after, weight)

    def check(self, drawn: np.ndarray) -> None:
        assert len(drawn) >= 30, "too few to tell"
        assert stats.kstest(drawn, self.law.cdf).pvalue > 1e-6


class Exactly(NamedTuple):
    """What an entry becomes, of what it was and of the weight that it is in."""

    formula: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def of(self, before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return after - self.formula(before, weight)

    def check(self, drawn: np.ndarray) -> None:
        assert len(drawn) > 0
        np.testing.assert_array_equal(drawn, 0)


class OneBit(NamedTuple):
    """An entry differs, in a format, in one bit of a set; each of the set is seen, if there are enough entries."""

    format: str
    bits: Sequence[int]

    def of(self, before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
        is_finite = np.isfinite(after)  # a cast does not keep the bits of NaN
        with np.errstate(over="ignore"):
            words = [self._words(each[is_finite], weight) for each in (before, after)]
        return words[0] ^ words[1]

    def _words(self, entries: np.ndarray, weight: np.ndarray) -> np.ndarray:
        kind, *widths = self.format.split()
        if kind == "int8":
            return np.rint(entries * 127 / np.abs(weight).max()).clip(-128, 127).astype(np.int8).view("u1")
        if kind == "fixed":
            integer, fraction = map(int, widths)
            end = 2.0**integer
            steps = np.rint(entries.astype(np.float64).clip(-end, end - 2.0**-fraction) * 2**fraction)
            return steps.astype(np.int64) % (1 << 1 + integer + fraction)
        cast = entries.astype({"bfloat16": ml_dtypes.bfloat16}.get(kind, kind))
        return cast.view(f"u{cast.itemsize}")

    def check(self, drawn: np.ndarray) -> None:
        assert drawn.all()
        seen = np.log2(drawn)
        assert set(seen) <= set(self.bits)
        if len(seen) > 20 * len(self.bits):
            assert set(seen) == set(self.bits)


NORMAL = stats.norm()
SYMMETRIC = stats.uniform(-1, 2)
added = lambda before, after, weight: after - before  # noqa: E731
multiplied = lambda before, after, weight: after / before - 1  # noqa: E731
replaced = lambda before, after, weight: after  # noqa: E731
BECOMES_0 = Exactly(lambda before, weight: np.zeros_like(before))
BECOMES_HALF = Exactly(lambda before, weight: np.full_like(before, 0.5))
NEGATED = Exactly(lambda before, weight: -before)
RATE = {"rate": 0.05}


def by_deviation(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (after - before) / (0.1 * weight.std())


def by_itself(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (after - before) / (0.1 * np.abs(before))


def by_largest(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (after - before) / (0.1 * np.abs(weight).max())


def from_levels(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    largest = np.abs(weight).max()
    return (after - largest * 0.1 * np.rint(before / largest / 0.1)) / (0.1 * largest)


def conductance(before: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The deviation of AIHWKit's noises, by its own coefficients, in units of the weight."""
    largest = np.abs(weight).max()
    share = np.abs(before) / largest
    return largest * (0.26348 + 1.965 * share - 1.1731 * share**2)


def by_conductance(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (after - before) / (0.1 * conductance(before, weight))


LAWS: dict[str, Law] = {
    "DeepMutation GF": Entries("1% of each", "all", Drawn(stats.norm(0, 0.1), added)),
    "DeepMutation GF, uniform": Entries("1% of each", "all", Drawn(stats.uniform(-0.1, 0.2), added)),
    "DeepMutation++ GF": Entries("1% of all", "layers", Drawn(stats.norm(0, 0.5), multiplied)),
    "DeepMutation++ RNN weight GF": Entries(
        "30% of each", "lstm", Drawn(stats.norm(0, 0.5), multiplied), {"fraction": "30%"}, usual="1% of each"
    ),
    "DeepMutation++ RNN weight binarise": Entries(
        "1% of each", "lstm", Exactly(lambda before, weight: np.where(before < 0, np.float32(-1), np.float32(1)))
    ),
    "DeepMutation++ RNN weight precision": Entries(
        "1% of each", "lstm", Exactly(lambda before, weight: (before * np.float32(100)).round() / np.float32(100))
    ),
    "LEMON GF": Entries("30% of each", "layers", Drawn(NORMAL, by_deviation), seeds=5, is_one_layer=True),
    "PMT weights_fuzzing": Entries("1% of each", "all", Drawn(NORMAL, by_itself)),
    "MuFF WI": Entries("1 of all", "kernels", Exactly(lambda before, weight: before / 2), seeds=5),
    "TensorFI 2 zeros": Entries("10% of each", "all", BECOMES_0),
    "TensorFI 2 random": Entries("5 of each", "all", Drawn(stats.uniform(), replaced), seeds=3),
    "TensorFI 2 bit flips": Entries("5 of each", "all", OneBit("float32", range(32)), seeds=20),
    "TF-Injector zeros": Entries("100% of each", _VARIABLE, BECOMES_0),
    "TF-Injector mutate": Entries("1 of each", _VARIABLE, OneBit("float32", range(32)), seeds=20),
    "PyTorchFI random_weight": Entries(
        "99 of all", "kernel", Drawn(SYMMETRIC, replaced), {"count": 99}, seeds=6, is_one_layer=True, usual="1 of all"
    ),
    "PyTorchFI zero weight": Entries("1 of all", "kernel", BECOMES_0, seeds=25, is_one_layer=True),
    "PyTorchFI multi-weight": Entries("rate 0.05", "kernels", Drawn(SYMMETRIC, replaced), RATE, usual="rate 0.00001"),
    "PyTorchFI single bit flip": Entries("1 of all", "kernel", OneBit("int8", range(8)), seeds=20, is_one_layer=True),
    "PyTorchALFI number": Entries(
        "99 of each", "conv", Drawn(SYMMETRIC, replaced), {"count": 99}, seeds=3, usual="1 of each"
    ),
    "PyTorchALFI bit flip in a range": Entries("1 of each", "conv", OneBit("float32", range(23, 31)), seeds=20),
    "MRFI IntSignBitFlip": Entries("rate 0.05", "kernels", OneBit("int8", [7]), RATE, usual="rate 0.0001"),
    "MRFI IntRandomBitFlip": Entries("rate 0.05", "kernels", OneBit("int8", range(8)), RATE, usual="rate 0.0001"),
    "MRFI IntFixedBitFlip": Entries("rate 0.05", "kernels", OneBit("int8", [6]), RATE, usual="rate 0.0001"),
    "MRFI FloatRandomBitFlip": Entries("rate 0.05", "kernels", OneBit("float32", range(32)), RATE, usual="rate 0.0001"),
    "MRFI FloatFixedBitFlip": Entries("rate 0.05", "kernels", OneBit("float32", [30]), RATE, usual="rate 0.0001"),
    "MRFI SetZero": Entries("rate 0.05", "kernels", BECOMES_0, RATE, usual="rate 0.0001"),
    "MRFI SetValue": Entries("rate 0.05", "kernels", BECOMES_HALF, RATE, usual="rate 0.0001"),
    "MRFI UniformRandom": Entries("rate 0.05", "kernels", Drawn(SYMMETRIC, replaced), RATE, usual="rate 0.0001"),
    "MRFI NormalRandom": Entries("rate 0.05", "kernels", Drawn(NORMAL, replaced), RATE, usual="rate 0.0001"),
    "MRFI UniformDisturb": Entries("rate 0.05", "kernels", Drawn(SYMMETRIC, added), RATE, usual="rate 0.0001"),
    "MRFI NormalDisturb": Entries("rate 0.05", "kernels", Drawn(NORMAL, added), RATE, usual="rate 0.0001"),
    "Ares uniform": Entries("1% of each", "kernels", Drawn(stats.uniform(-0.1, 0.2), added)),
    "Ares normal": Entries("1% of each", "kernels", Drawn(stats.norm(0, 0.1), added)),
    "Ares sign": Entries("1% of each", "kernels", NEGATED),
    "Ares percent": Entries("1% of each", "kernels", Drawn(stats.uniform(-0.1, 0.2), multiplied)),
    "Ares fixed-point bit": Entries("1% of each", "kernels", OneBit("fixed 2 5", range(8))),
    "GoldenEye fp32 bit flip": Entries("1 of each", "kernels", OneBit("float32", range(32)), seeds=20),
    "GoldenEye fp16 bit flip": Entries("1 of each", "kernels", OneBit("float16", range(16)), seeds=20),
    "GoldenEye bf16 bit flip": Entries("1 of each", "kernels", OneBit("bfloat16", range(16)), seeds=20),
    "GoldenEye fixed-point bit flip": Entries("1 of each", "kernels", OneBit("fixed 3 3", range(7)), seeds=20),
    "GoldenEye float_n bit flip": Entries("1 of each", "kernels", OneBit("float8_e5m2", range(8)), seeds=20),
    "AIHWKit MultNormal": Entries("100% of each", "kernels", Drawn(stats.norm(0, 0.1), multiplied)),
    "AIHWKit AddNormal": Entries("100% of each", "kernels", Drawn(NORMAL, by_largest)),
    "AIHWKit DiscretizeAddNormal": Entries("100% of each", "kernels", Drawn(NORMAL, from_levels)),
    "AIHWKit Poly": Entries("100% of each", "kernels", Drawn(NORMAL, by_conductance)),
    "AIHWKit DropConnect": Entries("rate 0.1", "kernels", BECOMES_0),
    "PyGAD random": Entries("10% of all", "all", Drawn(SYMMETRIC, added)),
    "PyGAD adaptive": Entries("20% of all", "all", Drawn(SYMMETRIC, added)),
    "EvoTorch GaussianMutation": Entries("rate 0.5", "all", Drawn(stats.norm(0, 0.1), added)),
}
"""What each operator does. Those that are of no common form are added below."""


# What an operator does to neurons.

LAYERS = ("conv_1", "conv_2", "dense_1", "dense_2", "head")


def kernel(weights: Weights, layer: str) -> np.ndarray:
    """The kernel of a layer as a matrix with a column for each neuron."""
    values = weights[f"{layer}/kernel"]
    return values.reshape(-1, values.shape[-1])


class Neurons(NamedTuple):
    """How many neurons of each layer become what: given their weights, a column for each, and their biases.

    Arguments:
        share: the part of a layer's neurons.
        at_least: the smallest number.
        holds: whether the chosen ones became what they must; given kernels (or biases in a row) before and after.
        has_bias: whether biases take part.
        layers: those that take part; of `one` a drawn one, of `any` a neuron of them all.
        seeds: how many mutants are looked at.
    """

    share: float
    at_least: int
    holds: Callable[[np.ndarray, np.ndarray], bool]
    has_bias: bool = False
    layers: str = "each"
    seeds: int = 3

    def __call__(self, before: Weights, mutant: Mutant) -> None:
        seen = set()
        for seed in range(self.seeds):
            after = mutant(seed)
            parts = {layer: self._chosen(before, after, layer) for layer in LAYERS}
            wanted = {
                layer: max(self.at_least, int(self.share * kernel(before, layer).shape[1] + 0.5)) for layer in LAYERS
            }
            touched = {layer: len(each) for layer, each in parts.items() if each}
            seen |= touched.keys()
            if self.layers == "one":
                (layer,) = touched
                assert touched[layer] == wanted[layer]
            elif self.layers == "any":
                assert list(touched.values()) == [1]
            else:
                assert touched == {layer: number for layer, number in wanted.items() if number}
            assert all(np.array_equal(before[path], after[path]) for path in before if path.startswith("lstm"))
        assert len(seen) > 1

    def _chosen(self, before: Weights, after: Weights, layer: str) -> list[int]:
        old, new = kernel(before, layer), kernel(after, layer)
        chosen = np.flatnonzero((old != new).any(axis=0)).tolist()
        assert not chosen or self.holds(old[:, chosen], new[:, chosen])
        biases = [each[f"{layer}/bias"] for each in (before, after)]
        if self.has_bias:
            assert np.flatnonzero(biases[0] != biases[1]).tolist() == chosen
            assert not chosen or self.holds(biases[0][None, chosen], biases[1][None, chosen])
        else:
            np.testing.assert_array_equal(*biases)
        return list(chosen)


def are_zero(before: np.ndarray, after: np.ndarray) -> bool:
    return not after.any()


def are_negated(before: np.ndarray, after: np.ndarray) -> bool:
    return np.array_equal(after, -before)


def are_halved(before: np.ndarray, after: np.ndarray) -> bool:
    return np.array_equal(after, before / 2)


def are_shuffled(before: np.ndarray, after: np.ndarray) -> bool:
    return np.array_equal(np.sort(after, axis=0), np.sort(before, axis=0))


def are_swapped(before: np.ndarray, after: np.ndarray) -> bool:
    """Each took the place of one that took its place."""
    places = [int(np.flatnonzero((before == column[:, None]).all(axis=0))[0]) for column in after.T]
    return all(places[place] == number != place for number, place in enumerate(places))


LAWS |= {
    "DeepMutation WS": Neurons(0.01, 0, are_shuffled),
    "DeepMutation NEB": Neurons(0.01, 0, are_zero),
    "DeepMutation NAI": Neurons(0.01, 0, are_negated),
    "DeepMutation NS": Neurons(0.01, 2, are_swapped),
    "DeepMutation++ WS": Neurons(0.01, 1, are_shuffled),
    "DeepMutation++ NEB": Neurons(0.01, 1, are_zero, has_bias=True),
    "DeepMutation++ NAI": Neurons(0.01, 1, are_negated, has_bias=True),
    "DeepMutation++ NS": Neurons(0.02, 2, are_swapped),
    "LEMON WS": Neurons(0.3, 0, are_shuffled, layers="one", seeds=8),
    "LEMON NEB": Neurons(0.3, 0, are_zero, layers="one", seeds=8),
    "LEMON NAI": Neurons(0.3, 0, are_negated, layers="one", seeds=8),
    "LEMON NS": Neurons(0, 2, are_swapped, layers="one", seeds=8),
    "PMT neurons_freezing": Neurons(0.01, 1, are_zero, has_bias=True),
    "MuFF NI": Neurons(0, 1, are_halved, has_bias=True, layers="any", seeds=8),
}


# Operators of a form of their own.


def law(*names: str) -> Callable[[Law], Law]:
    """What follows is the law of these operators."""

    def noted(function: Law) -> Law:
        LAWS.update(dict.fromkeys(names, function))
        return function

    return noted


def only(before: Weights, after: Weights, *paths: str) -> None:
    """Nothing but these weights changed."""
    assert [path for path in before if not np.array_equal(before[path], after[path])] == [*paths]


@law("DeepMAACC CW")
def change_weights_multiplies_one_neuron_by_eleven_tenths(before: Weights, mutant: Mutant) -> None:
    for neuron in (0, 17, 63):
        after = mutant(indices=[neuron])
        only(before, after, "dense_1/kernel", "dense_1/bias")
        for path in ("dense_1/kernel", "dense_1/bias"):
            expected = before[path].copy()
            expected[..., neuron] *= np.float32(1.1)
            np.testing.assert_array_equal(after[path], expected)


def one_cell(formula: Callable[[np.float32], float]) -> Law:
    """The cell of an index, and no other, becomes what a formula says."""

    def holds(before: Weights, mutant: Mutant) -> None:
        for index in (0, 77, 64 * 64 - 1):
            after = mutant(indices=[index])
            only(before, after, "dense_1/kernel")
            expected = before["dense_1/kernel"].copy()
            expected.flat[index] = formula(expected.flat[index])
            np.testing.assert_array_equal(after["dense_1/kernel"], expected)

    return holds


LAWS |= {
    "Xavier change one cell": one_cell(lambda cell: 0.5),
    "Xavier block one cell": one_cell(lambda cell: 0.0),
    "Xavier reciprocal of one cell": one_cell(lambda cell: 1 / cell),
    "Xavier negate one cell": one_cell(lambda cell: -cell),
}


@law("TF-Injector shuffle_params")
def a_variable_is_shuffled(before: Weights, mutant: Mutant) -> None:
    after = mutant()
    only(before, after, "dense_1/kernel")
    old, new = before["dense_1/kernel"], after["dense_1/kernel"]
    np.testing.assert_array_equal(np.sort(old.ravel()), np.sort(new.ravel()))
    assert (old != new).mean() > 0.99


@law("MRFI IntRandom", "MRFI IntRandomBit")
def entries_become_whole_numbers(before: Weights, mutant: Mutant) -> None:
    after = mutant(rate=0.05)
    drawn = np.concatenate([after[path][before[path] != after[path]] for path in before])
    below = 128 if drawn.max() < 128 else 256
    counts = np.bincount(drawn.astype(int), minlength=below)
    np.testing.assert_array_equal(drawn, drawn.astype(int))
    assert len(counts) == below
    assert stats.chisquare(counts).pvalue > 1e-6
    size = sum(each.size for path, each in before.items() if "kernel" in path)
    assert stats.binomtest(len(drawn), size, 0.05).pvalue > 1e-6


@law("AIHWKit Discretize")
def weights_move_to_multiples_of_a_tenth_of_the_largest(before: Weights, mutant: Mutant) -> None:
    after = mutant()
    for path in before:
        if "kernel" in path:
            step = 0.1 * np.abs(before[path]).max()
            np.testing.assert_allclose(after[path], step * np.rint(before[path] / step), atol=1e-6)
            assert len(np.unique(after[path])) <= 21
        else:
            np.testing.assert_array_equal(after[path], before[path])


@law("AIHWKit ProgNoise")
def noise_of_programming_is_divided_by_g_max_and_keeps_signs(before: Weights, mutant: Mutant) -> None:
    after = mutant()
    old, new = before["conv_2/kernel"], after["conv_2/kernel"]
    np.testing.assert_array_equal(np.sign(old), np.sign(new))
    deviation = conductance(old, old) / 25
    is_far = np.abs(old) > 6 * deviation
    assert stats.kstest(((new - old) / deviation)[is_far], NORMAL.cdf).pvalue > 1e-6


def genes(weights: Weights) -> np.ndarray:
    """All weights in the model's order, one after the other."""
    return np.concatenate([each.ravel() for each in weights.values()])


@law("PyGAD swap")
def two_genes_change_places(before: Weights, mutant: Mutant) -> None:
    distances = []
    for seed in range(5):
        old, new = genes(before), genes(mutant(seed))
        one, other = np.flatnonzero(old != new)
        assert (new[one], new[other]) == (old[other], old[one])
        distances.append(other - one)
    assert max(distances) > len(old) / 4


@law("PyGAD inversion")
def a_run_of_genes_is_reversed(before: Weights, mutant: Mutant) -> None:
    lengths = []
    for seed in range(5):
        old, new = genes(before), genes(mutant(seed))
        first, *_, last = np.flatnonzero(old != new)
        np.testing.assert_array_equal(new[first : last + 1], old[first : last + 1][::-1])
        lengths.append(last + 1 - first)
    assert max(lengths) > len(old) / 4


@law("PyGAD scramble")
def a_run_of_genes_is_shuffled(before: Weights, mutant: Mutant) -> None:
    lengths = []
    for seed in range(5):
        old, new = genes(before), genes(mutant(seed))
        moved = np.flatnonzero(old != new)
        run = slice(moved[0], moved[-1] + 1)
        np.testing.assert_array_equal(np.sort(new[run]), np.sort(old[run]))
        assert len(moved) > 0.99 * len(old[run])
        assert (new[run] == old[run][::-1]).mean() < 0.01
        lengths.append(len(old[run]))
    assert max(lengths) > len(old) / 4


@law("neat-python, TensorNEAT weight mutation")
def eight_tenths_get_noise_and_one_tenth_is_drawn_again(before: Weights, mutant: Mutant) -> None:
    weight = np.full((1000, 100), 100.0, np.float32)  # far from what is drawn, so that one can tell the two apart
    (row,) = called("weight mutation")
    after = mutate({"dense/kernel": weight}, row.steps[0]).tensors["dense/kernel"].ravel()
    kept, anew = after == 100, after < 50
    noised = ~kept & ~anew
    assert stats.chisquare([noised.sum(), anew.sum(), kept.sum()], [80_000, 10_000, 10_000]).pvalue > 1e-6
    assert stats.kstest(after[anew], NORMAL.cdf).pvalue > 1e-6
    assert stats.kstest((after[noised] - 100) / 0.5, NORMAL.cdf).pvalue > 1e-6
    on_the_model = genes(before) != genes(mutant())
    assert stats.binomtest(int(on_the_model.sum()), on_the_model.size, 0.9).pvalue > 1e-6


@law("EvoTorch CosynePermutation")
def half_of_the_weights_are_those_of_the_other(before: Weights, mutant: Mutant) -> None:
    old, new, others = genes(before), genes(mutant()), genes(values(new_model(6)))
    taken = old != new
    np.testing.assert_array_equal(new[taken], others[taken])
    assert stats.binomtest(int(taken.sum()), taken.size, 0.5).pvalue > 1e-6


LAWS |= LAWS_OF_DEVICES


# The tests.


def test_every_operator_on_weights_and_neurons_has_a_law() -> None:
    assert [title(row) for row in ON_WEIGHTS if title(row) not in LAWS] == []
    assert LAWS.keys() - {title(row) for row in ON_WEIGHTS} == set()


@pytest.mark.parametrize("row", ON_WEIGHTS, ids=title)
def test_the_steps_do_what_the_operators_authors_say(row: Operator, model: Any, other: Any) -> None:
    before = values(model)

    def mutant(seed: int = 0, **keys: Any) -> Weights:
        plan = mutspec.plan(document(row, seed, **keys))
        with mutspec.mutated(plan, model, **binding(row, other)):
            return values(model)

    LAWS[title(row)](before, mutant)
    assert all(np.array_equal(values(model)[path], before[path]) for path in before)


@pytest.mark.parametrize("row", STEPS, ids=title)
def test_steps_as_they_are_printed_are_a_plan(row: Operator) -> None:
    inputs = "inputs: {other: {}}\n" if "other:" in str(row.steps) else ""
    text = f"mutspec: 1\n{inputs}steps:\n" + "\n".join(f"- {flow(step)}" for step in row.steps)
    assert load_text(text, catalogue(plugins=False)).steps == mutspec.plan(document(row)).steps


@pytest.mark.filterwarnings("ignore:.*the values of .* are read")
@pytest.mark.filterwarnings("ignore:.*acts in training only")  # keras-surgeon's example is a Dropout
@pytest.mark.filterwarnings("ignore:.*becomes a Functional")
@pytest.mark.parametrize("row", [row for row in STEPS if row.level == "architecture"], ids=title)
def test_operators_on_architectures_make_another_model_that_predicts(row: Operator, model: Any) -> None:
    changed = mutspec.apply(mutspec.plan(document(row)), model)
    assert not mutspec.diff(model, changed).identical
    assert np.isfinite(changed(np.ones((1, 6, 6, 3)))).all()


@pytest.mark.filterwarnings("ignore:.*becomes a Functional")
@pytest.mark.parametrize("name", ["Net2Deeper", "parametric activation", "insert Conv-BN-ReLU", "add skip", "add node"])
def test_operators_that_preserve_the_function_preserve_it(name: str, model: Any) -> None:
    (row,) = called(name)
    images = np.random.default_rng(1).random((5, 6, 6, 3), np.float32)
    deeper = mutspec.apply(mutspec.plan(document(row)), model)
    assert len(deeper.layers) > len(model.layers)
    np.testing.assert_allclose(deeper(images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["LC", "DeepMutation++ LD"])
def test_a_copied_layer_has_the_weights_of_the_first(name: str, model: Any) -> None:
    (row,) = called(name)
    longer = mutspec.apply(mutspec.plan(document(row)), model)
    for one, other in zip(longer.get_layer("dense_1").weights, longer.get_layer("copy").weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
