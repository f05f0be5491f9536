"""Index maps, and the gathers and sums over an axis that follow them, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.graph.choice import Listed, StridedSlices, Window
from mutspec.graph.expression import Expression, constant
from mutspec.graph.index_map import AxisMap, IndexMap
from mutspec.graph.primitives import CHUNK
from mutspec.graph.sameness import unchangeable
from tests.toys import Toy, passes_of, same_bits

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def numbered(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def computed(source: np.ndarray, write: Callable[[Expression], Expression], threads: int = 2) -> np.ndarray:
    """The entries of an expression over a source, written into a tensor of its shape. No read is too long."""
    probe = write(Toy({"source": source})["source"])
    toy = Toy({"target": np.zeros(probe.shape, probe.dtype)}, {"model": {"source": source}})
    toy.set("target", write(toy["model:source"]))
    outcome = toy.run(threads)
    assert max((stop - start for model, _, start, stop in outcome.home.reads if model), default=0) <= 16 * CHUNK
    return outcome.tensors["target"]


@given(shapes, st.data())
def test_a_transposed_tensor_is_that_of_numpy(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    source = numbered(shape)
    assert same_bits(computed(source, lambda tensor: tensor.transpose(order)), np.transpose(source, order).copy())


@given(shapes, st.data())
def test_a_reshaped_tensor_is_that_of_numpy(shape: tuple[int, ...], data: st.DataObject) -> None:
    source = numbered(shape)
    new = data.draw(st.sampled_from([(source.size,), (1, source.size), (source.size, 1, 1), shape[::-1]]))
    assert same_bits(computed(source, lambda tensor: tensor.reshape(new)), source.reshape(new))


@given(shapes, st.data())
def test_slices_are_taken_in_any_order_and_more_than_once(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    indices = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=7))
    source = numbered(shape)
    assert same_bits(computed(source, lambda tensor: tensor.take(axis, indices)), source.take(indices, axis))


@given(shapes, st.data())
def test_slices_are_taken_along_one_axis_after_the_other(shape: tuple[int, ...], data: st.DataObject) -> None:
    indices = [data.draw(st.lists(st.integers(0, extent - 1), min_size=1, max_size=3)) for extent in shape]
    source = numbered(shape)

    def taken(tensor: Expression) -> Expression:
        for axis, each in enumerate(indices):
            tensor = tensor.take(axis, each)
        return tensor

    assert same_bits(computed(source, taken), source[np.ix_(*indices)])


@given(shapes, st.data())
def test_a_region_has_the_entries_of_the_source_where_it_has_any(shape: tuple[int, ...], data: st.DataObject) -> None:
    starts = data.draw(st.tuples(*(st.integers(-3, 3) for _ in shape)))
    extents = data.draw(st.tuples(*(st.integers(1, 6) for _ in shape)))
    source = numbered(shape)
    result = computed(source, lambda tensor: tensor.region(starts, extents))
    for index in np.ndindex(*extents):
        place = tuple(start + each for start, each in zip(starts, index, strict=True))
        if all(0 <= each < extent for each, extent in zip(place, shape, strict=True)):
            assert result[index] == source[place]


@given(shapes, st.data())
def test_sums_and_means_over_an_axis_add_its_indices_in_order(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    source = numbered(shape)
    total = sum((each.astype(np.float64) for each in np.moveaxis(source, axis, 0)), np.zeros(1))
    shape = (*shape[:axis], *shape[axis + 1 :]) or (1,)
    sums = computed(source, lambda tensor: tensor.sum_over(axis).reshape(shape))
    means = computed(source, lambda tensor: tensor.mean_over(axis).reshape(shape))
    assert same_bits(sums, total.reshape(shape))
    assert same_bits(means, (total / source.shape[axis]).reshape(shape))


def test_a_sum_of_some_indices_can_stand_at_every_index_of_an_axis() -> None:
    source = numbered((4, 5, 3))
    total = source[:, 1].astype(np.float64) + source[:, 2]
    result = computed(source, lambda tensor: tensor.sum_over(1, 1, 2, repeats=6))
    assert same_bits(result, np.repeat(total[:, None], 6, axis=1))


@pytest.mark.parametrize(
    ("shape", "write", "expected"),
    [
        # The entries of a chunk span more than is read at once: far apart, near each other, in runs.
        ((1500, 1700), lambda t: t.transpose((1, 0)), lambda a: a.T),
        ((300, 9000), lambda t: t.transpose((1, 0)), lambda a: a.T),
        ((30_000, 60), lambda t: t.transpose((1, 0)), lambda a: a.T),
        ((5, 300_001), lambda t: t.transpose((1, 0)), lambda a: a.T),
        ((60, 700, 50), lambda t: t.transpose((1, 0, 2)), lambda a: a.transpose(1, 0, 2)),
        ((3, 700_000), lambda t: t.take(1, (699_999, 3, 4, 3)), lambda a: a[:, [699_999, 3, 4, 3]]),
        ((2_000, 1000), lambda t: t.take(0, range(1999, 0, -3)), lambda a: a[1999:0:-3]),
        ((4, 70_000, 3), lambda t: t.sum_over(2), lambda a: (a[..., 0].astype("f8") + a[..., 1]) + a[..., 2]),
        ((3, 700_000), lambda t: t.sum_over(0), lambda a: (a[0].astype("f8") + a[1]) + a[2]),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_over_many_chunks_they_are_those_of_numpy(
    shape: tuple[int, ...],
    write: Callable[[Expression], Expression],
    expected: Callable[[np.ndarray], np.ndarray],
    threads: int,
) -> None:
    source = numbered(shape)
    assert same_bits(computed(source, write, threads), np.ascontiguousarray(expected(source)))


def test_a_sum_over_more_indices_than_a_chunk_has_is_one_sum() -> None:
    source = np.ones((2, CHUNK + 5, 2), np.float32)
    source[0, 0], source[0, CHUNK + 1] = 2.0**60, -(2.0**60)  # the ones in between get lost, those after do not
    assert computed(source, lambda tensor: tensor.sum_over(1)).tolist() == [[3, 3], [CHUNK + 5, CHUNK + 5]]


def test_the_sum_of_half_precision_is_in_float64() -> None:
    source = np.array([[300.0, 1.0], [1.0, 1.0]], ml_dtypes.bfloat16)
    assert computed(source, lambda tensor: tensor.sum_over(1)).tolist() == [301.0, 2.0]


@given(st.permutations(range(3)), st.integers(0, 2), st.integers(-2, 2), st.integers(1, 5), st.data())
def test_maps_are_applied_one_after_the_other(
    order: list[int], axis: int, start: int, length: int, data: st.DataObject
) -> None:
    shape = (3, 4, 5)
    moved = np.transpose(np.arange(60).reshape(shape), order)
    places = np.clip(np.arange(length) + start, 0, moved.shape[axis] - 1)
    again = data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=4))
    expected = moved.take(places, axis).take(again, axis)
    index_map = IndexMap.of(shape).transposed(order).window(axis, start, length).taken(axis, again)
    assert index_map.shape == expected.shape
    source = np.arange(60.0).reshape(shape)
    for each in (index_map, index_map.merged()):
        result = computed(source, lambda tensor, each=each: tensor.gather(each, index_map.shape))
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("index_map", "shape"),
    [
        (IndexMap.of((6, 4)), (2, 3, 4)),
        (IndexMap.of((6, 4)), (24,)),
        (IndexMap.of((6, 4)).transposed((1, 0)), (2, 2, 1, 6)),
        (IndexMap.of((6, 4)).transposed((1, 0)), (4, 3, 2)),
        (IndexMap.of((6, 4)).window(0, 1, 3), (12,)),
        (IndexMap.of((6, 4)).taken(0, (5, 0)), (2, 2, 2)),
    ],
)
def test_a_map_can_be_reshaped_where_its_entries_lie_so(index_map: IndexMap, shape: tuple[int, ...]) -> None:
    source = np.arange(24.0).reshape(6, 4)
    expected = computed(source, lambda tensor: tensor.gather(index_map)).reshape(shape)
    reshaped = index_map.reshaped(shape)
    assert reshaped.shape == shape
    np.testing.assert_array_equal(computed(source, lambda tensor: tensor.gather(reshaped)), expected)


@pytest.mark.parametrize(
    ("index_map", "shape"),
    [
        (IndexMap.of((6, 4)).transposed((1, 0)), (24,)),
        (IndexMap.of((6, 4)).taken(0, (5, 0, 1, 2)), (2, 2, 4)),
        (IndexMap.of((6, 4)), (5, 5)),
    ],
)
def test_a_map_says_when_it_cannot_be_reshaped(index_map: IndexMap, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"cannot be read as|differ in size"):
        index_map.reshaped(shape)


def test_a_map_of_many_axes_is_merged_to_few() -> None:
    assert IndexMap.of((2, 3, 4, 5)).merged().axes == (AxisMap(120, 1),)
    assert IndexMap.of((2, 3, 4, 5)).window(0, 1, 1).merged().axes == (AxisMap(60, 1, 60),)
    assert IndexMap.of((2, 3, 4, 5)).transposed((2, 3, 0, 1)).merged().axes == (AxisMap(20, 1), AxisMap(6, 20))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_vector_that_is_a_tensor_varies_along_an_axis(axis: int) -> None:
    shape = (3, 4, 5)
    vector = numbered((shape[axis],))
    others = tuple(other for other in range(3) if other != axis)
    expected = np.broadcast_to(np.expand_dims(vector * np.float32(2), others), shape).copy()
    toy = Toy({"target": np.zeros(shape, np.float32), "vector": vector})
    toy.set("vector", toy["vector"] * 2.0)
    toy.set("target", toy["vector"].along(axis, shape))
    assert same_bits(toy.run().tensors["target"], expected)


def test_slices_of_more_than_one_axis_take_a_vector_of_a_tensor() -> None:
    vector = numbered((8,))
    result = computed(vector, lambda tensor: tensor.along_slices(StridedSlices(8, 1), (3, 3, 4, 2)))
    assert same_bits(result, np.broadcast_to(vector.reshape(4, 2), (3, 3, 4, 2)).copy())


def test_a_batch_normalization_can_be_folded_into_a_kernel() -> None:
    shapes = {"kernel": (3, 3, 4, 6), "bias": (6,), "gamma": (6,), "beta": (6,), "mean": (6,), "variance": (6,)}
    tensors = {name: abs(numbered(shape)) for name, shape in shapes.items()}
    toy = Toy(tensors)
    wide = {name: toy[name].cast("float64") for name in tensors}
    scale = wide["gamma"] / (wide["variance"] + 1e-3).square_root()
    toy.set("kernel", (wide["kernel"] * scale.along(3, shapes["kernel"])).cast("float32"))
    toy.set("bias", ((wide["bias"] - wide["mean"]) * scale + wide["beta"]).cast("float32"))
    factor = tensors["gamma"].astype(float) / np.sqrt(tensors["variance"].astype(float) + 1e-3)
    results = toy.run().tensors
    assert same_bits(results["kernel"], (tensors["kernel"] * factor).astype(np.float32))
    assert same_bits(results["bias"], ((tensors["bias"] - tensors["mean"]) * factor + tensors["beta"]).astype("f4"))


def test_a_shift_before_a_convolution_goes_into_its_bias() -> None:
    kernel, shift, bias = numbered((3, 3, 4, 6)), numbered((4,)), numbered((6,))
    toy = Toy({"kernel": kernel, "shift": shift, "bias": bias})
    shifted = toy["kernel"].cast("float64") * toy["shift"].cast("float64").along(2, kernel.shape)
    by_channel = shifted.sum_of_slices(StridedSlices(6, 1)).along(0, (6,))
    toy.set("bias", (toy["bias"].cast("float64") + by_channel).cast("float32"))
    expected = bias + np.einsum("hwio,i->o", kernel.astype(float), shift)
    np.testing.assert_allclose(toy.run().tensors["bias"], expected, rtol=1e-6)


def test_rows_after_a_flatten_go_from_channels_last_to_channels_first_in_one_gather() -> None:
    rows = numbered((2 * 3 * 4, 5))
    toy = Toy({"rows": rows})
    toy.set("rows", toy["rows"].reshape((2, 3, 4, 5)).transpose((2, 0, 1, 3)).reshape(rows.shape))
    assert passes_of(toy.builder.build()) == ["emit rows@1"]
    expected = rows.reshape(2, 3, 4, 5).transpose(2, 0, 1, 3).reshape(rows.shape)
    assert same_bits(toy.run().tensors["rows"], expected)


def test_choices_of_two_shapes_do_not_mix() -> None:
    values = np.arange(6.0)
    toy = Toy({"flat": values})
    zero = constant(toy.builder, 0.0)
    table = toy["flat"].reshape((2, 3))
    table = zero.spread((2, 3)).where(Window(0, 0, 1), table)
    toy.set("flat", zero.spread((6,)).where(Window(0, 0, 1), table.reshape((6,)) + 1.0))
    assert toy.run().tensors["flat"].tolist() == [0, 1, 1, 4, 5, 6]


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda a: a.transpose((0, 0)), "is not an order of 2 axes"),
        (lambda a: a.transpose((0,)), "is not an order of 2 axes"),
        (lambda a: a.take(1, (3,)), "from 0 to 2"),
        (lambda a: a.take(0, (-1,)), "from 0 to 1"),
        (lambda a: a.reshape((5,)), r"cannot reshape float32\[2, 3\] to \[5\]"),
        (lambda a: a.window(0, (1, 4)), "differ in more than axis 0"),
        (lambda a: a.max_along(0).reshape((2, 1)), r"cannot reshape float32\[2\]"),
        (lambda a: a.max_along(0).take(0, (1,)), "consists of reductions"),
        (lambda a: a.gather(IndexMap.of((2, 3)), (5,)), r"cannot take \[2, 3\] as \[5\]"),
    ],
)
def test_what_does_not_fit_is_refused_while_building(write: Callable[[Expression], Expression], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        write(Toy({"a": numbered((2, 3))})["a"])


@pytest.mark.parametrize(
    ("write", "is_same"),
    [
        (lambda a: a.transpose((1, 0)).reshape((2, 2)), False),
        (lambda a: a.transpose((1, 0)), False),
        (lambda a: a.transpose((0, 1)), True),
        (lambda a: a.reshape((4,)).reshape((2, 2)), True),
        (lambda a: a.take(0, (0, 1)), False),
        (lambda a: a.region((0, 0), (2, 2)), True),
        (lambda a: (a * 0.0).transpose((1, 0)) + a, True),
        (lambda a: (a * 0.0).sum_over(0).along(0, (2, 2)).cast("float32") + a, True),
    ],
)
def test_a_map_is_known_to_change_nothing_where_it_cannot(
    write: Callable[[Expression], Expression], is_same: bool
) -> None:
    toy = Toy({"a": numbered((2, 2))})
    toy.set("a", write(toy["a"]))
    graph = toy.builder.build()
    assert (set(unchangeable(graph)) == set(graph.versions)) == is_same


@given(st.lists(st.integers(0, 23), unique=True, max_size=2).map(sorted))
@settings(max_examples=10)
def test_a_few_entries_of_a_transposed_tensor_are_read_alone(chosen: list[int]) -> None:
    source, target = numbered((4, 6)), numbered((6, 4)) + 9
    toy = Toy({"target": np.tile(target, (9, 1))}, {"model": {"source": np.tile(source, (1, 9))}})
    toy.set("target", toy["model:source"].transpose((1, 0)), Listed(tuple(chosen)))
    outcome = toy.run()
    expected = np.tile(target, (9, 1))
    expected.flat[chosen] = np.tile(source, (1, 9)).T.copy().flat[chosen]
    assert same_bits(outcome.tensors["target"], expected)
    assert not outcome.home.reads


def test_one_slice_of_an_axis_is_still_that_slice_in_another_shape() -> None:
    last = IndexMap.of((2, 3)).taken(0, [1]).merged()
    assert [axis.position(0) for axis in last.reshaped((1, 3)).axes] == [1, 0]
    assert [axis.position(0) for axis in last.reshaped((1, 1, 3)).axes] == [0, 1, 0]
    with pytest.raises(ValueError, match="cannot be read as"):
        last.reshaped((3,))
