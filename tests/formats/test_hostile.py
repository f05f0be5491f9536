"""Files of several parts, and files with headers, that nobody can vouch for: refused in a sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.errors import ModelError
from mutspec.model.files.opening import open_archive
from mutspec.model.files.tensor_bundle import read_bundle
from tests.formats.conftest import Saved, write_safetensors


@pytest.fixture
def files(saved: Saved, tmp_path: Path) -> Path:
    copytree(saved.folder, tmp_path / "in")
    return tmp_path / "in"


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_archive(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../parts_00000.weights.h5", "/etc/hostname", "..", ".", "", "a\0b", "sub/parts_00000.weights.h5", 7, []]
)
def test_an_index_names_plain_files_in_its_folder_alone(name: Any, files: Path) -> None:
    index = json.loads((files / "parts.weights.json").read_text())
    (files / "sub").mkdir()
    first = next(iter(index["weight_map"]))
    index["weight_map"][first] = [name] if isinstance(name, str) else name
    (files / "parts.weights.json").write_text(json.dumps(index))
    said = refusal(files / "parts.weights.json")
    assert "not the name of a file in its folder" in said or "does not say in which file" in said


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("parts.weights.json", "parts_00000.weights.h5"),
        ("unpacked", "unpacked/model.weights.h5"),
        ("unpacked", "unpacked/config.json"),
        ("checkpoint", "checkpoint.data-00000-of-00001"),
        ("checkpoint", "checkpoint.index"),
    ],
)
def test_a_part_that_is_a_link_is_not_followed(model: str, part: str, files: Path) -> None:
    (files / part).rename(files / "elsewhere")
    (files / part).symlink_to(files / "elsewhere")
    assert "is a link" in refusal(files / model)


def test_a_link_among_assets_is_not_followed(files: Path) -> None:
    (files / "unpacked/assets").mkdir(exist_ok=True)
    (files / "unpacked/assets/words").symlink_to("/etc")
    assert "is a link" in refusal(files / "unpacked")


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("parts.weights.json", "parts_00001.weights.h5"),
        ("unpacked", "unpacked/model.weights.h5"),
        ("checkpoint", "checkpoint.data-00000-of-00001"),
    ],
)
def test_a_part_that_is_missing_or_cut_short_is_named(model: str, part: str, files: Path) -> None:
    content = (files / part).read_bytes()
    (files / part).write_bytes(content[: len(content) // 2])
    assert Path(part).name in refusal(files / model)
    (files / part).unlink()
    assert Path(part).name in refusal(files / model)


def test_a_weight_that_two_shards_hold_is_refused(files: Path) -> None:
    index = json.loads((files / "parts.weights.json").read_text())
    group, shards = next((group, shards) for group, shards in index["weight_map"].items() if "dense_1" in group)
    other = next(name for names in index["weight_map"].values() for name in names if name not in shards)
    with h5py.File(files / other, "a") as file:
        file.create_dataset(f"{group}/0", data=np.zeros((5, 2), np.float32))
    assert "in two shards" in refusal(files / "parts.weights.json")


def test_a_weight_that_the_index_does_not_say_is_refused(files: Path) -> None:
    with h5py.File(files / "parts_00000.weights.h5", "a") as file:
        file.create_dataset("layers/dense_7/vars/0", data=np.zeros((5, 2), np.float32))
    assert "does not say" in refusal(files / "parts.weights.json")


def test_shards_are_counted_against_a_limit_before_any_is_opened(files: Path) -> None:
    groups = {f"/layers/dense_{number}/vars": [f"{number}.weights.h5"] for number in range(2000)}
    (files / "parts.weights.json").write_text(json.dumps({"metadata": {}, "weight_map": groups}))
    assert "the limit `shards` is 500" in refusal(files / "parts.weights.json")


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "overlap": (lambda: {"a": ENTRY, "b": ENTRY}, "shares its bytes"),
    "gap": (lambda: {"a": ENTRY, "b": ENTRY | {"data_offsets": [12, 20]}}, "after a gap"),
    "beyond the end": (lambda: {"a": ENTRY, "b": ENTRY | {"data_offsets": [8, 16]}}, "beyond the end"),
    "unused bytes": (lambda: {"a": ENTRY | {"shape": [1], "data_offsets": [0, 4]}}, "belong to nothing"),
    "another size": (lambda: {"a": ENTRY | {"shape": [3]}}, "another size"),
    "a huge shape": (lambda: {"a": ENTRY | {"shape": [2**62, 2**62]}}, "another size"),
    "a negative extent": (lambda: {"a": ENTRY | {"shape": [-2]}}, "does not say where"),
    "a number that is none": (lambda: {"a": ENTRY | {"data_offsets": [False, True]}}, "does not say where"),
    "no mapping": (lambda: {"a": [1]}, "does not say where"),
    "an unknown dtype": (lambda: {"a": ENTRY | {"dtype": "F4"}}, "F4"),
    "a dtype that is no text": (lambda: {"a": ENTRY | {"dtype": {}}}, "dtype"),
    "a long name": (lambda: {"n" * 2000: ENTRY}, "name_characters"),
    "no weights": (lambda: {"__metadata__": {}}, "holds no weights"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_lies_is_refused(case: str, tmp_path: Path) -> None:
    make, said = HEADERS[case]
    text = json.dumps(make()).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    assert said in refusal(tmp_path / "m.safetensors")


def test_the_length_of_a_header_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2**39) + b'{"a": 1}')
    assert "`config_bytes`" in refusal(path)
    path.write_bytes(struct.pack("<Q", 1000) + b'{"a": 1}')
    assert "beyond its end" in refusal(path)


def test_names_that_the_architecture_does_not_have_are_named(saved: Saved, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "m.safetensors", {"first/kernal": np.zeros((4, 5), np.float32)})
    with pytest.raises(ModelError, match="first/kernal") as caught:
        open_archive(tmp_path / "m.safetensors", architecture=saved["model.keras"])
    assert "first/kernel" in caught.value.problems[0].candidates


def test_whatever_byte_of_a_checkpoint_is_damaged_it_is_read_or_refused_in_a_sentence(files: Path) -> None:
    index = files / "checkpoint.index"
    whole, random = index.read_bytes(), np.random.default_rng(5)
    sound = read_bundle(index).extents
    outcomes: set[bool | str] = set()
    for place in random.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        index.write_bytes(damaged)
        try:
            outcomes.add(read_bundle(index).extents == sound)
        except ModelError as error:
            outcomes.add(str(error))
    refusals = {outcome for outcome in outcomes if isinstance(outcome, str)}
    assert refusals
    assert all("checkpoint" in said for said in refusals)


def test_the_index_of_a_checkpoint_is_bounded(files: Path) -> None:
    with mutspec.limits(checkpoint_index_bytes=100), pytest.raises(ModelError, match="checkpoint_index_bytes"):
        open_archive(files / "checkpoint")
