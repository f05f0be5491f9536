"""Larger and smaller windows of convolutions on real models: what Keras predicts with them, and what is refused."""

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

pytestmark = pytest.mark.filterwarnings("ignore:.*cuts off:mutspec.MutspecWarning")

layers = keras.layers
IMAGE = (9, 8, 4)


def chain(*parts: Any, shape: tuple[int | None, ...] = IMAGE) -> Any:
    return drawn(keras.Sequential([keras.Input(shape), *parts]))


def grown(model: Any, size: Any, target: Any = "conv", **keys: Any) -> Any:
    return mutant_of(model, {"op": "grow_kernel", "target": target, "kernel_size": size, **keys})


def shrunk(model: Any, size: Any, target: Any = "conv", **keys: Any) -> Any:
    return mutant_of(model, {"op": "shrink_kernel", "target": target, "kernel_size": size, **keys})


GROWING: dict[str, tuple[Callable[[], Any], Any]] = {
    "same": (lambda: chain(layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")), 5),
    "an even window": (lambda: chain(layers.Conv2D(6, (2, 3), padding="same", name="conv")), (3, 4)),
    "one axis alone": (lambda: chain(layers.Conv2D(6, 3, padding="same", name="conv")), (3, 5)),
    "strides": (lambda: chain(layers.Conv2D(6, 3, strides=2, padding="same", name="conv")), (4, 5)),
    "a point with strides": (lambda: chain(layers.Conv2D(6, 1, strides=2, padding="same", name="conv")), 3),
    "strides on images of any size": (
        lambda: chain(layers.Conv2D(6, 3, strides=2, padding="same", name="conv"), shape=(None, None, 4)),
        5,
    ),
    "dilation": (lambda: chain(layers.Conv2D(6, 3, dilation_rate=2, padding="same", name="conv")), 5),
    "a sequence": (lambda: chain(layers.Conv1D(6, 3, padding="same", name="conv"), shape=(9, 4)), 7),
    "causal": (
        lambda: chain(layers.Conv1D(6, 2, dilation_rate=2, padding="causal", name="conv"), shape=(9, 4)),
        5,
    ),
    "a volume": (lambda: chain(layers.Conv3D(3, 2, padding="same", name="conv"), shape=(4, 5, 6, 2)), 3),
    "groups": (lambda: chain(layers.Conv2D(6, 3, groups=2, padding="same", name="conv")), 5),
    "depthwise": (
        lambda: chain(layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="conv")),
        5,
    ),
    "separable": (lambda: chain(layers.SeparableConv2D(6, 3, padding="same", name="conv")), 5),
    "separable, on a sequence": (
        lambda: chain(layers.SeparableConv1D(6, 3, padding="same", name="conv"), shape=(9, 4)),
        5,
    ),
    "transposed": (lambda: chain(layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="conv")), (4, 5)),
    "transposed, and not larger than its strides": (
        lambda: chain(layers.Conv2DTranspose(3, 2, strides=3, name="conv")),
        3,
    ),
}


@pytest.mark.parametrize("case", GROWING)
def test_a_larger_window_predicts_what_the_old_one_did(case: str) -> None:
    build, size = GROWING[case]
    model = build()
    mutant = grown(model, size)
    given = inputs_of(model)
    assert_same_outputs(outputs(model, given), outputs(mutant, given))
    before, after = (each.get_layer("conv").get_weights() for each in (model, mutant))
    rank = before[0].ndim - 2
    assert after[0].shape[:rank] == ((size,) * rank if isinstance(size, int) else size)
    assert np.count_nonzero(after[0]) == np.count_nonzero(before[0])
    assert all(np.array_equal(one, other) for one, other in zip(before[1:], after[1:], strict=True))


PADDING: dict[str, Callable[[], Any]] = {
    "an image": lambda: chain(layers.Conv2D(6, (2, 3), strides=2, name="conv"), layers.Flatten(), layers.Dense(2)),
    "a dilated one": lambda: chain(layers.Conv2D(6, 2, dilation_rate=2, name="conv")),
    "a sequence": lambda: chain(layers.Conv1D(6, 2, name="conv"), shape=(9, 4)),
    "the first axis alone": lambda: chain(layers.DepthwiseConv2D((2, 5), name="conv")),
    "a volume": lambda: chain(layers.Conv3D(3, 2, name="conv"), shape=(6, 7, 6, 2)),
}


@pytest.mark.parametrize("case", PADDING)
def test_zeros_before_a_convolution_make_room_for_a_larger_window(case: str) -> None:
    model = PADDING[case]()
    mutant = grown(model, 5, pad=True)
    assert names(mutant) == ["grow_kernel", *names(model)]
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)))


def _shared() -> Any:
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, name="conv"), layers.ReLU()], name="inner")
    one, two = keras.Input((8, 8, 4), name="one"), keras.Input((8, 8, 4), name="two")
    conv = layers.Conv2D(4, 3, padding="same", name="shared")
    made = layers.Concatenate(name="both")([inner(conv(one)), inner(conv(conv(two)))])
    return drawn(keras.Model([one, two], made))


def test_a_shared_layer_and_one_in_a_model_grow() -> None:
    model = _shared()
    mutant = grown(model, 5, target=["shared", "inner/conv"], pad=True)
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)))
    assert names(mutant.get_layer("inner"))[:2] == ["grow_kernel", "conv"]
    assert [each.shape for each in mutant.get_layer("shared").get_weights()] == [(5, 5, 4, 4), (4,)]


def test_a_shared_layer_that_needs_zeros_gets_them_at_each_call() -> None:
    one = keras.Input(IMAGE, name="one")
    conv = layers.Conv2D(4, 2, name="conv")
    model = drawn(keras.Model(one, layers.Add()([conv(one), conv(layers.ReLU()(one))])))
    mutant = grown(model, 3, pad=True)
    assert len(mutant.get_layer("grow_kernel")._inbound_nodes) == 2
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)))


def test_a_shared_layer_on_images_of_several_sizes_is_refused_where_the_place_differs() -> None:
    one, two = keras.Input((8, 8, 4), name="one"), keras.Input((9, 9, 4), name="two")
    conv = layers.Conv2D(4, 1, strides=2, padding="same", name="conv")
    model = keras.Model([one, two], [conv(one), conv(two)])
    with pytest.raises(PlanError, match="depends on the input's size, and it is called on several"):
        grown(model, 3)


def test_channels_first_and_mixed_precision_stay() -> None:
    policy = keras.DTypePolicy("mixed_bfloat16")
    conv = layers.Conv2D(6, 3, padding="same", data_format="channels_first", name="conv")
    model = chain(conv, layers.Conv2D(3, 2, data_format="channels_first", dtype=policy, name="half"))
    mutant = grown(model, 5, target=["conv", "half"], pad=True)
    assert mutant.get_layer("grow_kernel").data_format == "channels_first"
    assert mutant.get_layer("half").compute_dtype == "bfloat16"
    given = inputs_of(model)
    assert_same_outputs(by_xla(model, given), by_xla(mutant, given), 2e-2)


def _by_hand(model: Any, build: Callable[[], Any], rows: Any) -> Any:
    """The smaller model, with weights cut by NumPy."""
    made = build()
    kernel, *others = model.get_layer("conv").get_weights()
    made.get_layer("conv").set_weights([kernel[rows], *others])
    return made


SHRINKING: dict[str, tuple[Callable[[Any], Any], Any, Any, Any]] = {
    "same": (lambda size: chain(layers.Conv2D(6, size, padding="same", name="conv")), 5, 3, np.s_[1:4, 1:4]),
    "valid": (lambda size: chain(layers.Conv2D(6, size, name="conv")), (5, 4), (2, 3), np.s_[1:3, 0:3]),
    "causal": (
        lambda size: chain(layers.Conv1D(6, size, padding="causal", name="conv"), shape=(9, 4)),
        5,
        2,
        np.s_[3:],
    ),
    "separable": (
        lambda size: chain(layers.SeparableConv2D(6, size, padding="same", name="conv")),
        4,
        3,
        np.s_[0:3, 0:3],
    ),
    "transposed": (
        lambda size: chain(layers.Conv2DTranspose(3, size, padding="same", name="conv")),
        3,
        1,
        np.s_[1:2, 1:2],
    ),
    "strides on images of any size": (
        lambda size: chain(layers.Conv2D(6, size, strides=2, padding="same", name="conv"), shape=(None, None, 4)),
        3,
        1,
        np.s_[1:2, 1:2],
    ),
}


@pytest.mark.parametrize("case", SHRINKING)
def test_the_middle_of_a_smaller_window_stays(case: str) -> None:
    build, before, after, rows = SHRINKING[case]
    model = build(before)
    mutant, expected = shrunk(model, after), _by_hand(model, lambda: build(after), rows)
    assert_same_outputs(outputs(expected, inputs_of(model)), outputs(mutant, inputs_of(model)))


@pytest.mark.parametrize("case", PADDING)
def test_a_cropping_before_a_convolution_keeps_the_windows_where_they_are(case: str) -> None:
    model = PADDING[case]()
    larger = grown(model, 5, pad=True)
    mutant = mutant_of(larger, {"op": "shrink_kernel", "target": "conv", "kernel_size": SMALL[case], "crop": True})
    assert names(mutant)[:3] == ["grow_kernel", "shrink_kernel", "conv"]
    assert_same_outputs(outputs(model, inputs_of(model)), outputs(mutant, inputs_of(model)))


SMALL = {"an image": [2, 3], "a dilated one": 2, "a sequence": 2, "the first axis alone": [2, 5], "a volume": 2}


def test_to_grow_and_to_shrink_again_changes_nothing() -> None:
    model = chain(layers.Conv2D(6, (2, 3), strides=2, padding="same", name="conv"))
    grow = {"op": "grow_kernel", "target": "conv", "kernel_size": 5}
    mutant = mutant_of(model, grow, {"op": "shrink_kernel", "target": "conv", "kernel_size": [2, 3]})
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), mutant.get_weights(), strict=True))


def test_the_report_says_what_part_of_the_norm_is_cut(tmp_path: Path) -> None:
    model = chain(layers.Conv2D(6, 3, padding="same", name="conv"))
    model.save(tmp_path / "model.keras")
    step = {"op": "shrink_kernel", "target": "conv", "kernel_size": 1}
    report = mutspec.dry_run(mutspec.plan({"steps": [step]}), tmp_path / "model.keras")
    kernel = model.get_layer("conv").get_weights()[0].astype("float64")
    part = np.sqrt(1 - np.sum(kernel[1, 1] ** 2) / np.sum(kernel**2))
    assert f"a window of 1×1 cuts off {part:.1%} of its norm" in " ".join(each.message for each in report.warnings)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_written_model_is_the_mutant_in_memory(suffix: str, tmp_path: Path) -> None:
    base, out = tmp_path / f"base{suffix}", tmp_path / f"out{suffix}"
    model = chain(
        layers.Conv2D(6, 3, padding="same", name="conv"),
        layers.Conv2D(3, 5, name="second"),
        layers.Conv2D(3, 2, name="third"),
    )
    model.save(base)
    steps = [
        {"op": "grow_kernel", "target": ["conv", "third"], "kernel_size": 5, "pad": True},
        {"op": "shrink_kernel", "target": "second", "kernel_size": 3},
        {"op": "gaussian_noise", "target": "*", "std": 0.1},
    ]
    plan = mutspec.plan({"steps": steps})
    mutspec.apply(plan, base, out)
    loaded, live = keras.saving.load_model(out), mutspec.apply(plan, model)
    assert names(loaded) == names(live)
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), live.get_weights(), strict=True))


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another layer": ({"target": "dense"}, "`dense` is a Dense, which has no window", "target"),
    "valid": ({"target": "valid"}, "`valid` has `padding: valid`, so that with a window of 5×5", "target"),
    "transposed": ({"target": "up", "pad": True}, "`up` has `padding: valid`", "target"),
    "smaller": ({"target": "conv", "kernel_size": [5, 1]}, "5×1 is smaller", "kernel_size"),
    "the same": ({"target": "conv", "kernel_size": 3}, "the window of `conv` is 3×3 already", "kernel_size"),
    "other axes": ({"target": "conv", "kernel_size": [5]}, "has 2 axes, and `kernel_size` 1 number", "kernel_size"),
    "dilated": ({"target": "dilated", "kernel_size": 4}, "with a dilation of 2, the old window falls", "kernel_size"),
    "any size": ({"target": "strided", "kernel_size": 4}, "depends on the input's size, and that is", "kernel_size"),
    "wrapped": ({"target": "each/inside"}, "`each/inside` is inside `each`", "target"),
}


@pytest.fixture(scope="module")
def several() -> Any:
    image = keras.Input((None, None, 4), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = layers.Conv2D(4, 3, padding="same", dilation_rate=2, name="dilated")(x)
    x = layers.Conv2D(4, 3, padding="same", strides=2, name="strided")(x)
    x = layers.Conv2DTranspose(4, 3, name="up")(layers.Conv2D(4, 3, name="valid")(x))
    frames = keras.Input((2, 8, 8, 4), name="frames")
    each = layers.TimeDistributed(layers.Conv2D(4, 3, padding="same", name="inside"), name="each")(frames)
    return keras.Model([image, frames], [layers.Dense(2, name="dense")(x), each])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_grow_is_refused_by_name(case: str, several: Any) -> None:
    keys, message, at = REFUSED[case]
    with pytest.raises(PlanError) as caught:
        mutant_of(several, {"op": "grow_kernel", "kernel_size": 5, **keys})
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.path == ("steps", 0, at)
    assert problem.hint


def test_what_cannot_shrink_is_refused_by_name(several: Any) -> None:
    with pytest.raises(PlanError, match="the window of `conv` is 3×3, and 3×5 is larger"):
        shrunk(several, [3, 5])


def test_a_quantised_layer_is_refused() -> None:
    model = chain(layers.Conv2D(6, 3, padding="same", name="conv"))
    model.get_layer("conv").enable_lora(2)
    with pytest.raises(PlanError, match=r"quantised, or has adapters"):
        grown(model, 5)
