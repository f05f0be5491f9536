"""`transfer_weights` turns, cuts, places and pads as NumPy would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError
from tests.oracle import Step
from tests.toys import Tensors, mutate, same_bits

OP = {"op": "transfer_weights", "source": "s/kernel", "target": "t/kernel"}


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def pair(shape: tuple[int, ...], other: tuple[int, ...]) -> Tensors:
    random = np.random.default_rng(sum(shape))
    return {
        f"{name}/kernel": random.normal(size=each).astype(np.float32) for name, each in (("s", shape), ("t", other))
    }


def copied(before: Tensors, **keys: Any) -> np.ndarray:
    """The target after a transfer, whose counts are those of the entries that are not as they were."""
    mutant = mutate(before, {**OP, **keys})
    after, (write,) = mutant.tensors["t/kernel"], mutant.program.steps[0].writes
    assert write.touched is not None
    assert write.touched >= (after != before["t/kernel"]).sum()
    return after


sizes = st.integers(1, 4)


@given(st.lists(sizes, min_size=1, max_size=4), st.data())
def test_a_transposed_transfer_is_a_transposed_copy(shape: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    before = pair(tuple(shape), tuple(shape[axis] for axis in order))
    assert same_bits(copied(before, transpose=order), before["s/kernel"].transpose(order).copy())
    before = pair(tuple(shape), tuple(reversed(shape)))
    assert same_bits(copied(before, transpose=True), before["s/kernel"].T.copy())


@given(sizes, sizes, sizes, sizes)
def test_a_reshaped_transfer_keeps_the_entries_in_c_order(height: int, width: int, channels: int, units: int) -> None:
    before = pair((height * width * channels, units), (height, width, channels, units))
    assert same_bits(copied(before, reshape=True), before["s/kernel"].reshape(height, width, channels, units))


def test_rows_of_a_flatten_that_is_channels_first_are_reshaped_before_they_are_transposed() -> None:
    before = pair((4 * 2 * 3, 5), (2, 3, 4, 5))
    wanted = before["s/kernel"].reshape(4, 2, 3, 5).transpose(1, 2, 0, 3)
    assert same_bits(copied(before, reshape=True, transpose=[1, 2, 0, 3]), wanted.copy())


def test_a_kernel_is_transposed_before_it_becomes_rows_of_a_flatten_that_is_channels_first() -> None:
    before = pair((2, 3, 4, 5), (4 * 2 * 3, 5))
    wanted = before["s/kernel"].transpose(2, 0, 1, 3).reshape(24, 5)
    assert same_bits(copied(before, reshape=True, transpose=[2, 0, 1, 3]), wanted)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4), st.sampled_from(["slice", "pad"]), st.data())
def test_at_places_the_source_along_each_axis(extents: list[tuple[int, int]], how: str, data: st.DataObject) -> None:
    shape, room = zip(*extents, strict=True)
    before = pair(shape, room)
    at = [data.draw(st.integers(-extent, extent - 1)) for extent in room]
    wanted = np.zeros(room, np.float32) if how == "pad" else before["t/kernel"].copy()
    starts = [place % extent for place, extent in zip(at, room, strict=True)]
    box = tuple(slice(start, start + length) for start, length in zip(starts, shape, strict=True))
    part = wanted[box]
    part[...] = before["s/kernel"][tuple(map(slice, part.shape))]
    assert same_bits(copied(before, at=at, on_mismatch=how), wanted)


@given(sizes, sizes, st.integers(0, 3), st.integers(1, 4), st.integers(-4, 4), st.data())
def test_a_slice_goes_to_a_position_of_the_target(
    rows: int, length: int, start: int, count: int, at: int, data: st.DataObject
) -> None:
    start, room = min(start, length - 1), 8
    stop = min(length, start + count)
    place = at % room
    before = pair((rows, length), (rows, room))
    wanted = before["t/kernel"].copy()
    fits = place + stop - start <= room
    if fits:
        wanted[:, place : place + stop - start] = before["s/kernel"][:, start:stop]
        assert same_bits(copied(before, axis=1, start=start, stop=stop, at=at), wanted)
    else:
        with pytest.raises(PlanError, match=rf"the slice {start}:{stop}, put at {place}, does not fit"):
            copied(before, axis=1, start=start, stop=stop, at=at)


@pytest.mark.parametrize(("at", "column"), [(6, 6), ("75%", 6), (-2, 6), ("50%", 4)])
def test_a_position_may_be_a_percentage_of_the_targets_axis(at: Any, column: int) -> None:
    before = pair((3, 2), (3, 8))
    wanted = before["t/kernel"].copy()
    wanted[:, column : column + 2] = before["s/kernel"]
    assert same_bits(copied(before, axis=-1, at=at), wanted)


@pytest.mark.parametrize("how", ["slice", "pad"])
@pytest.mark.parametrize(
    ("shape", "room", "taken", "place"),
    [
        ((3, 3, 2, 4), (5, 5, 2, 4), np.s_[:], np.s_[1:4, 1:4]),
        # Of an even window, the middle is what Keras puts on an entry with `padding: same`: index 0 of 2, 1 of 4.
        ((3, 3, 2, 4), (4, 2, 2, 4), np.s_[:, 1:], np.s_[:3]),
        ((2, 4, 2, 4), (3, 5, 2, 4), np.s_[:], np.s_[1:, 1:]),
        ((1, 3, 2, 4), (3, 3, 3, 4), np.s_[:], np.s_[1:2, :, :2]),
        ((3, 2, 4), (7, 2, 4), np.s_[:], np.s_[2:5]),
    ],
)
def test_a_kernel_lies_in_the_middle_of_another(shape: Any, room: Any, taken: Any, place: Any, how: str) -> None:
    before = {"s/kernel": pair(shape, room)["s/kernel"], "conv2d/kernel": pair(shape, room)["t/kernel"]}
    wanted = np.zeros(room, np.float32) if how == "pad" else before["conv2d/kernel"].copy()
    wanted[place] = before["s/kernel"][taken]
    step = {**OP, "target": "conv2d", "align": "center", "on_mismatch": how}
    assert same_bits(mutate(before, step).tensors["conv2d/kernel"], wanted)


def test_the_middle_of_a_larger_kernel_is_cut_out() -> None:
    before = {"s/kernel": numbered(5, 7, 2, 4), "conv2d/kernel": numbered(3, 3, 2, 4)}
    step = {**OP, "target": "conv2d", "align": "center", "on_mismatch": "slice"}
    assert same_bits(mutate(before, step).tensors["conv2d/kernel"], before["s/kernel"][1:4, 2:5].copy())


def test_what_is_not_a_convolution_has_no_window_to_be_centred_in() -> None:
    before = pair((2, 3, 4), (4, 3, 4))
    wanted = before["t/kernel"].copy()
    wanted[:2] = before["s/kernel"]
    assert same_bits(copied(before, align="center", on_mismatch="slice"), wanted)


def test_an_axis_can_be_centred_by_itself() -> None:
    before = pair((3, 4), (7, 4))
    wanted = np.zeros((7, 4), np.float32)
    wanted[2:5] = before["s/kernel"]
    assert same_bits(copied(before, align="center", axis=0, on_mismatch="pad"), wanted)


@pytest.mark.parametrize("combine", ["mean", "sum"])
@pytest.mark.parametrize("channels", [1, 4])
def test_a_kernel_for_three_channels_becomes_one_for_others(combine: str, channels: int) -> None:
    before = pair((3, 3, 3, 8), (3, 3, channels, 8))
    total = sum(before["s/kernel"][:, :, channel].astype(np.float64) for channel in range(3))
    one = (total / 3 if combine == "mean" else total).astype(np.float32)
    wanted = np.repeat(one[:, :, None], channels, axis=2)
    assert same_bits(copied(before, axis=-2, combine=combine), wanted)


def test_the_channels_of_a_kernel_can_be_weighted() -> None:
    before, factors = pair((3, 3, 3, 8), (3, 3, 1, 8)), [0.299, 0.587, 0.114]
    wide = before["s/kernel"].astype(np.float64)
    total = (wide[:, :, 0] * factors[0] + wide[:, :, 1] * factors[1]) + wide[:, :, 2] * factors[2]
    assert same_bits(copied(before, axis=-2, combine=factors), total.astype(np.float32)[:, :, None])


@pytest.mark.parametrize("how", ["slice", "pad"])
def test_of_other_axes_what_both_have_is_combined(how: str) -> None:
    before = pair((3, 4, 2), (2, 3, 5))
    wanted = np.zeros((2, 3, 5), np.float32) if how == "pad" else before["t/kernel"].copy()
    total = sum(before["s/kernel"][:2, index].astype(np.float64) for index in range(4))
    wanted[:, :, :2] = total.astype(np.float32)[:, None]
    assert same_bits(copied(before, axis=1, combine="sum", on_mismatch=how), wanted)


def test_what_is_combined_goes_to_the_indices_from_a_position_on() -> None:
    before = pair((3, 5), (3, 4))
    wanted = before["t/kernel"].copy()
    total = before["s/kernel"][:, 1].astype(np.float64) + before["s/kernel"][:, 2]
    wanted[:, 2:] = (total / 2).astype(np.float32)[:, None]
    assert same_bits(copied(before, axis=1, start=1, stop=3, at=2, combine="mean"), wanted)
    wanted[:, :2] = 0
    assert same_bits(copied(before, axis=1, start=1, stop=3, at=2, combine="mean", on_mismatch="pad"), wanted)


def test_the_combined_axis_is_counted_after_the_source_is_transposed() -> None:
    before = pair((4, 3), (1, 4))
    total = sum(before["s/kernel"][:, column].astype(np.float64) for column in range(3))
    assert same_bits(copied(before, axis=0, combine="sum", transpose=True), total.astype(np.float32)[None])


@pytest.mark.parametrize(
    ("shapes", "keys", "counts"),
    [
        (((2, 3), (2, 3)), {}, (6, 0, 0)),
        (((2, 5), (2, 3)), {"on_mismatch": "slice"}, (6, 4, 0)),
        (((2, 3), (2, 5)), {"on_mismatch": "slice"}, (6, 0, 0)),
        (((2, 3), (4, 5)), {"on_mismatch": "pad"}, (6, 0, 14)),
        (((2, 5), (2, 5)), {"axis": 1, "stop": 2}, (4, 6, 0)),
        (((2, 5), (2, 5)), {"axis": 1, "stop": 2, "at": 1, "on_mismatch": "pad"}, (4, 6, 6)),
        (((2, 4), (2, 3)), {"axis": 1, "stop": 3, "at": 1, "combine": "sum"}, (4, 2, 0)),
    ],
)
def test_what_is_copied_cut_and_padded_is_counted(shapes: Any, keys: Step, counts: tuple[int, int, int]) -> None:
    (write,) = mutate(pair(*shapes), {**OP, **keys}).program.steps[0].writes
    assert write.copied is not None
    assert (write.copied.copied, write.copied.cut, write.copied.padded) == counts
    assert (write.copied.source, write.copied.shape) == ("s/kernel", shapes[0])


@pytest.mark.parametrize(
    ("shapes", "keys", "message"),
    [
        (((2, 3), (3, 2)), {"transpose": [0, 1]}, "does not fit"),
        (((2, 3), (3, 2)), {"transpose": [0, 2, 1]}, r"`transpose: \[0, 2, 1\]` does not fit `s/kernel` \(2×3\)"),
        (((2, 3), (2, 2)), {"transpose": True}, r"`s/kernel` \(2×3\), turned to 3×2, does not fit `t/kernel` \(2×2\)"),
        (((2, 3), (5,)), {"reshape": True}, "differ in size, and `reshape` keeps every entry"),
        (((2, 3), (6, 1)), {}, r"`s/kernel` \(2×3\) does not fit `t/kernel` \(6×1\)"),
        (((2, 3), (6,)), {"on_mismatch": "pad"}, r"`s/kernel` \(2×3\) does not fit `t/kernel` \(6\)"),
        (((3, 3, 2, 4), (5, 5, 2, 4)), {"align": "center"}, "does not fit"),
        (((2, 3), (2, 3)), {"at": [1]}, "`at` has 1 positions, and `t/kernel`"),
        (((2, 3), (2, 3)), {"at": [1, 0]}, "the slice 0:2, put at 1, does not fit `t/kernel`, whose axis 0 has 2"),
        (((2, 3), (2, 3)), {"axis": 1, "at": 9}, "`at: 9` is outside the axis of `t/kernel`, of 3 entries"),
        (((2, 3), (2, 3)), {"axis": 1, "at": 3, "on_mismatch": "pad"}, "nothing of `s/kernel` .* goes to"),
        (((2, 3), (4, 1)), {"axis": 1, "combine": "mean"}, "differ in more than axis 1"),
        (((2, 3), (3,)), {"axis": 0, "combine": "mean"}, "`axis: 0` does not fit"),
        (((2, 3), (2, 1)), {"axis": 1, "combine": [1, 2]}, "2 factors for 3 entries along axis 1 of `s/kernel`"),
    ],
)
def test_what_does_not_fit_is_said_with_both_shapes(shapes: Any, keys: Step, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        mutate(pair(*shapes), {**OP, **keys})


def test_integers_are_not_added() -> None:
    before = {"s/kernel": np.ones((2, 3), np.int8), "t/kernel": np.ones((2, 1), np.int8)}
    with pytest.raises(PlanError, match="holds integers, which `combine` does not add"):
        mutate(before, {**OP, "axis": 1, "combine": "sum"})
