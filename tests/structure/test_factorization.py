"""Layers split in two of lower rank, on real models: NumPy's singular values say what Keras must predict with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.zoo.play import assert_same_outputs, by_xla, drawn, inputs_of, mutant_of, names, outputs

pytestmark = pytest.mark.filterwarnings("ignore::mutspec.MutspecWarning")

layers = keras.layers
IMAGE = (9, 8, 4)
SPLIT = {"op": "factorize_layer", "id": "low", "target": "layer"}


def chain(*parts: Any, shape: tuple[int | None, ...] = IMAGE) -> Any:
    return drawn(keras.Sequential([keras.Input(shape), *parts]))


def split(model: Any, **keys: Any) -> Any:
    return mutant_of(model, {**SPLIT, **keys})


def nearest(matrix: np.ndarray, rank: int) -> np.ndarray:
    """The nearest matrix of a rank."""
    left, singular, right = np.linalg.svd(matrix.astype("float64"), full_matrices=False)
    return (left[:, :rank] * singular[:rank]) @ right[:rank]


def by_groups(kernel: np.ndarray, rank: int, groups: int = 1) -> np.ndarray:
    """A kernel of lower rank, from window and inputs to the outputs of each group."""
    parts = np.split(kernel.reshape(-1, kernel.shape[-1]), groups, axis=1)
    return np.concatenate([nearest(part, rank) for part in parts], axis=1).reshape(kernel.shape)


def by_channels(kernel: np.ndarray, rank: int, groups: int = 1) -> np.ndarray:
    """A kernel of lower rank, from the window of each channel to the outputs of its group."""
    found = np.empty(kernel.shape)
    width = kernel.shape[-1] // groups
    for channel in range(kernel.shape[-2]):
        for group in range(groups):
            part = kernel[..., channel, group * width : (group + 1) * width]
            found[..., channel, group * width : (group + 1) * width] = nearest(part.reshape(-1, width), rank).reshape(
                part.shape
            )
    return found


def with_kernel(model: Any, kernel: np.ndarray) -> Any:
    """The model with another kernel."""
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    made.get_layer("layer").kernel.assign(kernel)
    return made


SPLITTING: dict[str, tuple[Callable[[], Any], int, int]] = {
    "a dense layer": (lambda: chain(layers.Dense(7, activation="tanh", name="layer"), shape=(9,)), 3, 1),
    "a wide one": (lambda: chain(layers.Dense(12, name="layer"), shape=(5,)), 2, 1),
    "one without a bias": (lambda: chain(layers.Dense(6, use_bias=False, name="layer"), shape=(9,)), 1, 1),
    "one on images": (lambda: chain(layers.Dense(7, name="layer")), 2, 1),
    "a convolution": (lambda: chain(layers.Conv2D(6, 3, activation="relu", name="layer")), 4, 1),
    "strides and padding": (lambda: chain(layers.Conv2D(6, (2, 3), strides=2, padding="same", name="layer")), 3, 1),
    "dilation": (lambda: chain(layers.Conv2D(6, 3, dilation_rate=2, name="layer")), 3, 1),
    "a causal sequence": (lambda: chain(layers.Conv1D(6, 3, padding="causal", name="layer"), shape=(9, 4)), 3, 1),
    "a volume": (lambda: chain(layers.Conv3D(5, 2, name="layer"), shape=(5, 5, 6, 3)), 3, 1),
    "groups": (lambda: chain(layers.Conv2D(6, 3, groups=2, padding="same", name="layer")), 2, 2),
    "a window of 1": (lambda: chain(layers.Conv2D(6, 1, name="layer")), 2, 1),
}


@pytest.mark.parametrize("case", SPLITTING)
def test_two_layers_predict_what_the_nearest_kernel_of_lower_rank_does(case: str) -> None:
    build, rank, groups = SPLITTING[case]
    model = build()
    mutant = split(model, rank=rank)
    expected = with_kernel(model, by_groups(model.get_layer("layer").get_weights()[0], rank, groups))
    assert names(mutant) == ["low", "layer"]
    assert_same_outputs(outputs(expected, inputs_of(model)), outputs(mutant, inputs_of(model)), 1e-5)
    first, second = mutant.layers
    assert not first.use_bias
    assert first.activation is keras.activations.linear
    assert second.activation is model.layers[0].activation
    if first.get_config().get("filters") is not None:
        assert second.kernel.shape[:-2] == (1,) * (len(second.kernel.shape) - 2)


DEPTHWISE: dict[str, tuple[Callable[[], Any], int, int]] = {
    "an image": (lambda: chain(layers.Conv2D(6, 3, activation="relu", name="layer")), 2, 1),
    "strides and padding": (lambda: chain(layers.Conv2D(6, 3, strides=2, padding="same", name="layer")), 1, 1),
    "dilation": (lambda: chain(layers.Conv2D(6, 3, dilation_rate=2, name="layer")), 3, 1),
    "a sequence": (lambda: chain(layers.Conv1D(6, 3, padding="same", name="layer"), shape=(9, 4)), 2, 1),
    "groups": (lambda: chain(layers.Conv2D(6, 3, groups=2, padding="same", name="layer")), 2, 2),
}


@pytest.mark.parametrize("case", DEPTHWISE)
def test_a_depthwise_convolution_and_a_pointwise_one_predict_what_windows_of_lower_rank_do(case: str) -> None:
    build, rank, groups = DEPTHWISE[case]
    model = build()
    mutant = split(model, rank=rank, method="depthwise_separable")
    kernel = model.get_layer("layer").get_weights()[0]
    expected = with_kernel(model, by_channels(kernel, rank, groups))
    assert type(mutant.get_layer("low")).__name__ == f"Depthwise{type(model.layers[0]).__name__}"
    assert mutant.get_layer("low").depth_multiplier == rank
    assert_same_outputs(outputs(expected, inputs_of(model)), outputs(mutant, inputs_of(model)), 1e-5)


@pytest.mark.parametrize("energy", [0.5, "80%", "95%", 1])
def test_the_energy_is_kept_by_the_least_rank_that_does(energy: Any) -> None:
    model = chain(layers.Conv2D(12, 3, groups=2, name="layer"))
    kernel = model.get_layer("layer").get_weights()[0].astype("float64")
    wanted = float(energy.rstrip("%")) / 100 if isinstance(energy, str) else energy
    squares = sum(np.linalg.svd(part.reshape(-1, 6), compute_uv=False) ** 2 for part in np.split(kernel, 2, axis=-1))
    shares = np.cumsum(squares) / np.sum(squares)
    mutant = split(model, energy=energy)
    assert mutant.get_layer("low").filters == 2 * (int(np.argmax(shares >= wanted - 1e-9)) + 1)


def test_the_rank_is_a_part_of_the_full_one() -> None:
    model = chain(layers.Dense(10, name="layer"), shape=(30,))
    assert [split(model, rank=rank).get_layer("low").units for rank in ("25%", "1%", "100%")] == [3, 1, 10]


def test_at_full_rank_it_predicts_the_same() -> None:
    model = _parts()
    plan = {**SPLIT, "target": ["shared", "inner/dense", "head", "again"], "rank": "100%"}
    mutant = mutant_of(model, plan)
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)), 1e-5)
    assert len(mutant.get_layer("low")._inbound_nodes) == 2


def _parts() -> Any:
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="dense"), layers.ReLU()], name="inner")
    one, two = keras.Input((8,), name="one"), keras.Input((8,), name="two")
    shared = layers.Dense(8, activation="tanh", name="shared")
    again = layers.Dense(8, name="again")
    made = layers.Concatenate(name="both")([inner(shared(one)), inner(shared(two)), again(again(two)), again(one)])
    return drawn(keras.Model([one, two], layers.Dense(3, activation="softmax", name="head")(made)))


def test_shared_layers_and_layers_in_models_are_split_at_all_their_calls() -> None:
    model = _parts()
    mutant = mutant_of(model, {**SPLIT, "target": ["shared", "inner/dense"], "rank": 2})
    expected = keras.models.clone_model(model)
    expected.set_weights(model.get_weights())
    for layer in (expected.get_layer("shared"), expected.get_layer("inner").get_layer("dense")):
        layer.kernel.assign(by_groups(layer.kernel.numpy(), 2))
    assert_same_outputs(outputs(expected, inputs_of(model)), outputs(mutant, inputs_of(model)), 1e-5)


def test_dtype_and_data_format_and_regularizers_go_along() -> None:
    conv = layers.Conv2D(
        6,
        3,
        data_format="channels_first",
        kernel_regularizer=keras.regularizers.L2(0.5),
        dtype="mixed_bfloat16",
        name="layer",
    )
    conv.trainable = False
    model = chain(conv)
    for method in ("svd", "depthwise_separable"):
        mutant = split(model, rank="100%", method=method)
        first = mutant.get_layer("low")
        assert (first.data_format, first.compute_dtype, first.trainable) == ("channels_first", "bfloat16", False)
        assert (first.depthwise_regularizer if method != "svd" else first.kernel_regularizer).l2 == 0.5
        given = inputs_of(model)
        assert_same_outputs(by_xla(model, given), by_xla(mutant, given), 5e-2)


def test_the_sign_and_the_scale_of_the_two_kernels_are_fixed() -> None:
    model = chain(layers.Dense(7, name="layer"), shape=(9,))
    first, second = (each.kernel.numpy().astype("float64") for each in split(model, rank=4).layers)
    sizes = np.linalg.svd(model.get_weights()[0], compute_uv=False)[:4]
    assert np.allclose(np.sum(first**2, axis=0), sizes, rtol=1e-4)
    assert np.allclose(np.sum(second**2, axis=1), sizes, rtol=1e-4)
    assert all(row[np.argmax(np.abs(row))] > 0 for row in second)


def test_a_kernel_of_zeros_stays_one() -> None:
    model = chain(layers.Dense(7, name="layer"), shape=(9,))
    model.get_layer("layer").kernel.assign(np.zeros((9, 7)))
    first, second = (each.kernel.numpy() for each in split(model, energy="50%").layers)
    assert first.shape[1] == 1
    assert not (first @ second).any()


@pytest.mark.parametrize("keys", [{"rank": 2}, {"energy": 0.4}])
def test_the_report_says_the_error(keys: dict[str, Any], tmp_path: Path) -> None:
    model = chain(layers.Conv2D(6, 3, name="layer"))
    model.save(tmp_path / "model.keras")
    report = mutspec.dry_run(mutspec.plan({"steps": [{**SPLIT, **keys}]}), tmp_path / "model.keras")
    kernel = model.get_layer("layer").get_weights()[0]
    rank = split(model, **keys).get_layer("low").filters
    error = np.linalg.norm(kernel - by_groups(kernel, rank)) / np.linalg.norm(kernel)
    (message,) = (each.message for each in report.warnings)
    assert f"at rank {rank} of 6 the error is {error:.2%} of its norm" in message
    assert f"216 weights become {rank * 42}" in message
    assert ("not less" in message) is (rank * 42 >= 216)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_written_model_is_the_mutant_in_memory(suffix: str, tmp_path: Path) -> None:
    base, out = tmp_path / f"base{suffix}", tmp_path / f"out{suffix}"
    model = chain(layers.Conv2D(6, 3, name="layer"), layers.Flatten(name="flat"), layers.Dense(12, name="dense"))
    model.save(base)
    steps = [
        {**SPLIT, "energy": "60%"},
        {**SPLIT, "id": "lower", "target": "dense", "rank": 5},
        {"op": "gaussian_noise", "target": "low*", "std": 0.1},
    ]
    plan = mutspec.plan({"steps": steps})
    mutspec.apply(plan, base, out)
    loaded, live = keras.saving.load_model(out), mutspec.apply(plan, model)
    assert names(loaded) == names(live) == ["low", "layer", "flat", "lower", "dense"]
    for one, other in zip(loaded.get_weights(), live.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)  # on one machine to the bit
    assert_same_outputs(outputs(loaded, inputs_of(model)), outputs(live, inputs_of(model)), 1e-5)


def test_the_bias_stays_the_same_weight() -> None:
    model = chain(layers.Dense(7, name="layer"), shape=(9,))
    noise = {"op": "gaussian_noise", "target": "layer/bias", "std": 0.1}
    alone, after = mutant_of(model, noise), mutant_of(model, {**SPLIT, "rank": 2}, noise)
    assert np.array_equal(alone.get_layer("layer").bias.numpy(), after.get_layer("layer").bias.numpy())


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another layer": ({"target": "up"}, "`up` is a Conv2DTranspose, which `method: svd` does not split", "target"),
    "a dense layer by windows": (
        {"target": "dense", "method": "depthwise_separable"},
        "`dense` is a Dense, which `method: depthwise_separable` does not split",
        "target",
    ),
    "a rank that is too high": ({"target": "conv", "rank": 7}, "the full rank of `conv` is 6, and not 7", "rank"),
    "different strides": (
        {"target": "conv", "method": "depthwise_separable"},
        "`conv` has different strides, [1, 2], which a depthwise",
        "method",
    ),
    "causal": (
        {"target": "causal", "method": "depthwise_separable"},
        "`causal` has `padding: causal`, which a depthwise",
        "method",
    ),
    "both": ({"target": "conv", "energy": 0.5}, "either `rank` or `energy`", "op"),
    "nothing": ({"target": "conv", "rank": "0%"}, "`rank` must be above 0", "rank"),
    "quantised": ({"target": "int8"}, "`int8` is quantised", "target"),
}


@pytest.fixture(scope="module")
def several() -> Any:
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2DTranspose(4, 3, name="up")(layers.Conv2D(6, 3, strides=(1, 2), name="conv")(image))
    sequence = layers.Conv1D(4, 3, padding="causal", name="causal")(layers.Reshape((-1, 4))(x))
    int8 = layers.Dense(4, name="int8")
    model = keras.Model(image, [layers.Dense(2, name="dense")(x), int8(sequence)])
    int8.quantize("int8")
    return model


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_split_is_refused_by_name(case: str, several: Any) -> None:
    keys, message, at = REFUSED[case]
    with pytest.raises(PlanError) as caught:
        split(several, **{"rank": 2, **keys})
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.path == ("steps", 0, at)
    assert problem.hint
