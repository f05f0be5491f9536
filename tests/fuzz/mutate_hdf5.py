"""Mutations of HDF5 files that hit what describes the values, and not the values."""

from __future__ import annotations

import re
from functools import cache
from io import BytesIO
from random import Random
from typing import Any

import h5py

from tests.fuzz import mutate_bytes

_SIGNATURES = re.compile(rb"OHDR|OCHK|TREE|HEAP|SNOD|FRHP|FHDB|FHIB|BTHD|BTLF|BTIN|GCOL|\x89HDF")
_NEAR = 200
"""How far from its beginning a structure may be hit: object headers of a few messages are as long."""


def mutated(data: bytes, random: Random, others: tuple[bytes, ...] = ()) -> bytes:
    """A valid HDF5 file with one to a few places changed, mostly in its structures."""
    if random.random() < 0.3:
        return mutate_bytes.mutated(data, random, others=others)
    changed = bytearray(data)
    objects = heap_objects(data)
    if objects and random.random() < 0.1:
        at = random.choice(objects)
        zeros = random.choice((8, 16))
        changed[at : at + zeros] = bytes(zeros)
        return bytes(changed)
    places = structures(data)
    for _ in range(random.randint(1, 3)):
        at = random.choice(places) + random.randrange(_NEAR)
        at = min(at, len(changed) - 1)
        _hit(changed, at, random, places)
    return bytes(changed)


def _hit(data: bytearray, at: int, random: Random, places: tuple[int, ...]) -> None:
    kind = random.randrange(5)
    width = random.choice((1, 2, 4, 8))
    if kind == 0:
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        number = random.choice(mutate_bytes.BOUNDARIES) & (256**width - 1)
        data[at : at + width] = number.to_bytes(width, "little")
    elif kind == 2:  # a pointer to another structure: loops, and objects in several places
        at -= at % 8
        data[at : at + 8] = random.choice(places).to_bytes(8, "little")
    elif kind == 3:
        size = random.choice((4, 8, 16, 24))
        data[at : at + size] = bytes(size)
    else:
        data[at] = (data[at] + random.choice((-1, 1))) % 256


@cache
def heap_objects(data: bytes) -> tuple[int, ...]:
    """Where texts of variable length have their headers: libhdf5 walks from one to the next by the sizes in them."""
    found = []
    for match in re.finditer(b"GCOL", data):
        begin = match.start()
        at, end = begin + 16, begin + int.from_bytes(data[begin + 8 : begin + 16], "little")
        while at < end - 16 and data[at : at + 2] != b"\0\0":
            found.append(at)
            at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    return tuple(found)


@cache
def structures(data: bytes) -> tuple[int, ...]:
    """Where objects' headers, heaps and trees begin, in a valid file."""
    found = {match.start() for match in _SIGNATURES.finditer(data)}
    with h5py.File(BytesIO(data)) as file:

        def visit(_: str, item: Any) -> None:
            found.add(h5py.h5o.get_info(item.id).addr)

        file.visititems(visit)
    return tuple(sorted(found))


def with_configuration(data: bytes, text: str) -> bytes:
    """A whole-model file with another configuration."""
    copy = BytesIO(data)
    with h5py.File(copy, "r+") as file:
        del file.attrs["model_config"]
        if len(text) < 60_000:
            file.attrs["model_config"] = text.encode("utf-8", errors="surrogatepass")
        else:  # a longer one does not fit into an object's header
            file.attrs.create("model_config", text.encode("utf-8", errors="surrogatepass"), dtype=h5py.string_dtype())
    return copy.getvalue()


def configuration(data: bytes) -> str:
    with h5py.File(BytesIO(data)) as file:
        text = file.attrs["model_config"]
    return text if isinstance(text, str) else text.decode()
