"""What a TensorReader reads is what h5py and NumPy say is there, whatever the storage."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import prod

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.access.read import TensorReader
from mutspec.errors import ModelError
from mutspec.model.files.archive import Archive
from mutspec.model.files.arrays import flat_range_as_slabs, numpy_dtype

STORAGES = {
    "hdf5": {},
    "chunked hdf5": {"chunks": True},
    "gzipped hdf5": {"compression": "gzip", "shuffle": True},
    "zip": {"zipped": True},
    "zip with chunked datasets": {"zipped": True, "chunks": True},
    "deflated zip": {"zipped": True, "deflated": True},
    "deflated zip with gzipped datasets": {"zipped": True, "deflated": True, "compression": "gzip"},
}
DTYPES = ["float32", ">f4", "float64", ">f8", "float16", ">f2", "bfloat16", "int8", "uint8", ">i4", "int64", "bool"]


@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_and_dtype_reads_back_to_the_bit_in_native_order(
    archive_of: Callable[..., Archive], storage: str
) -> None:
    random = np.random.default_rng(1)
    tensors = {}
    for dtype in DTYPES:
        values = random.integers(-100, 100, (7, 5, 11)) if dtype != "uint8" else random.integers(0, 256, (7, 5, 11))
        tensors[f"layer/{dtype.strip('>')}{'_big' * (dtype[0] == '>')}"] = values.astype(numpy_dtype(dtype))
    archive = archive_of(tensors, **STORAGES[storage])
    with TensorReader(archive) as reader:
        for path, values in tensors.items():
            flat = values.ravel()
            for start, stop in [(0, 385), (0, 0), (3, 200), (57, 60), (384, 385)]:
                read = reader.read(path, start, stop)
                assert read.dtype == values.dtype.newbyteorder("=")
                np.testing.assert_array_equal(read, flat[start:stop].astype(read.dtype))
            for entries in (np.array([0, 3, 200, 201, 384]), np.array([], np.int64)):
                some = reader.read_entries(path, entries)
                assert some.dtype == values.dtype.newbyteorder("=")
                np.testing.assert_array_equal(some, flat[entries].astype(some.dtype))


@pytest.mark.parametrize("storage", STORAGES)
def test_scalars_and_empty_tensors_are_read(archive_of: Callable[..., Archive], storage: str) -> None:
    options = {key: value for key, value in STORAGES[storage].items() if key in ("zipped", "deflated")}
    archive = archive_of({"layer/count": np.array(7, np.int64), "layer/empty": np.empty((0, 3), np.float32)}, **options)
    with TensorReader(archive) as reader:
        assert reader.read("layer/count", 0, 1).tolist() == [7]
        assert reader.read("layer/empty", 0, 0).tolist() == []


def test_bits_of_nan_payloads_survive(archive_of: Callable[..., Archive]) -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x80000000], np.uint32)
    for dtype in ("<f4", ">f4"):
        archive = archive_of({"layer/kernel": bits.view(np.float32).astype(dtype)})
        with TensorReader(archive) as reader:
            np.testing.assert_array_equal(reader.read("layer/kernel", 0, 3).view(np.uint32), bits)


@pytest.mark.parametrize("storage", ["zip", "gzipped hdf5", "deflated zip"])
def test_many_threads_read_the_same_as_one(archive_of: Callable[..., Archive], storage: str) -> None:
    values = np.random.default_rng(2).standard_normal((300, 40), np.float32)
    archive = archive_of({"layer/kernel": values}, **STORAGES[storage])
    with TensorReader(archive) as reader, ThreadPoolExecutor(8) as threads:
        parts = threads.map(
            lambda start: reader.read("layer/kernel", start, min(start + 37, 12_000)), range(0, 12_000, 37)
        )
        np.testing.assert_array_equal(np.concatenate(list(parts)), values.ravel())


def test_an_alias_reads_the_same_storage(archive_of: Callable[..., Archive]) -> None:
    archive = archive_of({"a/kernel": np.arange(3.0)})
    tensor = replace(archive.spec.tensors[0], aliases=("b/kernel",))
    archive = replace(archive, spec=replace(archive.spec, tensors=(tensor,)))
    with TensorReader(archive) as reader:
        assert reader.read("b/kernel", 0, 3).tolist() == [0.0, 1.0, 2.0]


def test_a_truncated_file_is_named_as_damaged(archive_of: Callable[..., Archive]) -> None:
    archive = archive_of({"layer/kernel": np.arange(1000.0)})
    os.truncate(archive.path, archive.extents["layer/kernel"].offset + 100)  # type: ignore[operator]
    with TensorReader(archive) as reader, pytest.raises(ModelError, match="ends inside `layer/kernel`"):
        reader.read("layer/kernel", 0, 1000)


def test_damage_in_a_deflated_member_is_found_before_any_value_is_used(archive_of: Callable[..., Archive]) -> None:
    archive = archive_of({"layer/kernel": np.zeros(10_000)}, zipped=True, deflated=True)
    assert archive.member is not None
    whole = archive.path.read_bytes()
    stated = archive.member.crc32.to_bytes(4, "little")
    assert whole.count(stated) == 2
    archive.path.write_bytes(whole.replace(stated, (archive.member.crc32 ^ 1).to_bytes(4, "little")))
    with TensorReader(archive) as reader, pytest.raises(ModelError, match="damaged"):
        reader.read("layer/kernel", 0, 1)
    content = bytearray(whole)
    content[archive.member.offset : archive.member.offset + 4] = b"\xff\xff\xff\xff"
    archive.path.write_bytes(content)
    with TensorReader(archive) as reader, pytest.raises(ModelError, match="damaged"):
        reader.read("layer/kernel", 0, 1)


def test_a_missing_file_and_an_unknown_dtype_are_typed_errors(archive_of: Callable[..., Archive]) -> None:
    archive = archive_of({"layer/kernel": np.zeros(3)})
    archive.path.unlink()
    with pytest.raises(ModelError, match="cannot read"):
        TensorReader(archive)
    with pytest.raises(ModelError, match="float12"):
        numpy_dtype("float12")
    with pytest.raises(ModelError, match="object"):
        numpy_dtype("object")
    assert numpy_dtype("bfloat16") == ml_dtypes.bfloat16


@given(st.lists(st.integers(1, 5), max_size=4), st.data())
def test_slabs_are_the_flat_range_in_order(shape: list[int], data: st.DataObject) -> None:
    size = prod(shape)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    values = np.arange(size).reshape(shape)
    slabs = [np.ravel(values[slab]) for slab in flat_range_as_slabs(tuple(shape), start, stop)]
    assert np.concatenate([[], *slabs]).tolist() == list(range(start, stop))
    assert len(slabs) <= max(1, 2 * len(shape) - 1)
