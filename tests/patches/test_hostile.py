"""Patches that nobody can vouch for: refused in a sentence that names the file, and nothing is written."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import mutspec
from mutspec.errors import ModelError
from tests.execute.model_files import DIGITS
from tests.patches.making import mutant_of, patch_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

Tensors = dict[str, np.ndarray]
SPARSE, DENSE = "conv_1/kernel", "logits/kernel"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and two patches of it: one of weights, and one of the architecture too."""
    folder = tmp_path_factory.mktemp("files")
    base = Path(shutil.copy(DIGITS, folder / "base.keras"))
    few = {"op": "scale", "target": SPARSE, "factor": 2.0, "count": 3}
    every = {"op": "scale", "target": DENSE, "factor": 2.0, "id": "every"}
    patch_of(base, mutant_of(base, few, every))[0].rename(folder / "weights.safetensors")
    new = {"op": "insert_layer", "after": "conv_1", "layer": {"type": "BatchNormalization"}, "id": "new"}
    patch_of(base, mutant_of(base, new))[0].rename(folder / "structure.safetensors")
    return folder


def refused(files: Path, folder: Path, patch: Path, suffix: str = ".keras") -> str:
    with pytest.raises(ModelError) as caught:
        mutspec.patch(files / "base.keras", patch, folder / f"out{suffix}")
    assert [path.name for path in folder.iterdir()] == [patch.name]
    message = str(caught.value)
    assert "Traceback" not in message
    return message


def read(patch: Path) -> tuple[Tensors, dict[str, str]]:
    with safe_open(patch, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def document_of(tensors: Tensors) -> dict[str, Any]:
    return json.loads(zlib.decompress(tensors["document"].tobytes()))


def packed(document: Any) -> np.ndarray:
    return np.frombuffer(zlib.compress(json.dumps(document).encode()), np.uint8)


def with_header(header: dict[str, Any] | bytes, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


MARK = {"__metadata__": {"mutspec_patch": "1"}}


def _tensor(begin: int, end: int, shape: list[int]) -> dict[str, Any]:
    return {"dtype": "U8", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a patch"),
        (with_header(b'{"a"'), "is damaged: invalid JSON"),
        (struct.pack("<Q", 60) + b"{}", "its header reaches beyond its end"),
        (struct.pack("<Q", 1 << 30) + b"{}", "the limit `config_bytes`"),
        (with_header(MARK), "it has no document"),
        (with_header(MARK | {"document": _tensor(0, 4, [4])}, b"abc"), "not fully covered"),
        (
            with_header(MARK | {"document": _tensor(0, 4, [4]), "xor/a": _tensor(2, 6, [4])}, b"abcdef"),
            "invalid offset",
        ),
        (with_header(MARK | {"document": _tensor(0, 4, [1 << 40, 1 << 40])}, b"abcd"), "overflow"),
        (with_header({"__metadata__": {"mutspec_patch": 1}}), "expected a string"),
        (with_header({"__metadata__": {"mutspec_patch": "2"}}), "reads version 1"),
        (with_header({"a": _tensor(0, 4, [4])}, b"abcd"), "is a .safetensors file, but not a patch"),
        (with_header(MARK | {"document": _tensor(0, 4, [4])}, b"abcd"), "its document cannot be unpacked"),
    ],
    ids=range(12),
)
def test_headers_that_lie(content: bytes, said: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "p.safetensors").write_bytes(content)
    assert said in refused(files, tmp_path, tmp_path / "p.safetensors")


@pytest.mark.parametrize("kept", [0.3, 0.95])
def test_a_patch_that_is_cut_off(kept: float, files: Path, tmp_path: Path) -> None:
    whole = (files / "weights.safetensors").read_bytes()
    (tmp_path / "p.safetensors").write_bytes(whole[: int(len(whole) * kept)])
    assert "is damaged" in refused(files, tmp_path, tmp_path / "p.safetensors")


def _entries(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        tensors[f"entries/{SPARSE}"] = change(tensors[f"entries/{SPARSE}"])

    return apply


def _without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def _replaced(name: str, values: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: values})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_entries(lambda entries: entries[::-1].copy()), "are not in order"),
        (_entries(lambda entries: entries[[0, 0, 1]].copy()), "are not in order"),
        (_entries(lambda entries: entries | np.uint32(1 << 31)), "an entry that `conv_1/kernel` does not have"),
        (_entries(lambda entries: entries[:2].copy()), "has 3 entries of uint32, and the weight needs 2"),
        (_entries(lambda entries: entries.astype(np.uint64)), "the weight needs 3 of uint32"),
        (_without(f"entries/{SPARSE}"), "it lacks 'entries/conv_1/kernel'"),
        (_without(f"bits/{SPARSE}"), "it lacks 'bits/conv_1/kernel'"),
        (_without(f"xor/{DENSE}"), "in the patched model `logits/kernel` differs"),
        (_replaced(f"xor/{DENSE}", np.zeros(400, np.uint32)), "in the patched model `logits/kernel` differs"),
        (_replaced(f"xor/{DENSE}", np.zeros(400, np.uint16)), "the weight needs 400 of uint32"),
        (_replaced(f"xor/{DENSE}", np.zeros((20, 20), np.uint32)), "not a list of unsigned words"),
        (_replaced(f"xor/{DENSE}", np.zeros(400, np.float32)), "not a list of unsigned words"),
        (_replaced("code/x", np.zeros(1, np.uint8)), "a tensor 'code/x', which no patch has"),
        (_replaced("document", packed(list("abc"))), "not a JSON object"),
        (_replaced("document", packed({"engine": 7})), "Expected `str`, got `int` - at `$.engine`"),
        (_replaced("document", packed({"x": "0" * (17 << 20)})), "the limit `config_bytes`"),
        (_replaced("document", packed({"engine": "\ud800", "before": {}, "after": {}})), "not one of a patch"),
    ],
)
def test_values_that_do_not_fit(change: Callable[[Tensors], object], said: str, files: Path, tmp_path: Path) -> None:
    tensors, metadata = read(files / "weights.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "p.safetensors", metadata)
    assert said in refused(files, tmp_path, tmp_path / "p.safetensors")


def _at(*keys: str | int, value: Any) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return apply


_LAYOUT = ("after", "layout")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_at("after", "structure", value="0" * 32), "does not hold the architecture of the patched model"),
        (_at("after", "layout", value=None), "it does not say how the models are laid out"),
        (_at(*_LAYOUT, "config", value={}), "`class_name` is missing"),
        (
            _at(*_LAYOUT, "config", "config", "layers", 1, "class_name", value="\x1b[2J"),
            "the patched model cannot be read again",
        ),
        (_at(*_LAYOUT, "config", "config", "layers", value=7), "layers"),
        (_at(*_LAYOUT, "tensors", 0, "dtype", value="O"), "a weight of dtype 'O'"),
        (_at(*_LAYOUT, "tensors", 0, "dtype", value="finfo"), "a weight of dtype 'finfo'"),
        (_at(*_LAYOUT, "tensors", 0, "shape", value=[1 << 50]), "Expected `int` <= 1099511627775"),
        (_at(*_LAYOUT, "tensors", 0, "shape", value=[1 << 39, 1 << 39]), "what `conv_1/kernel` is made of"),
        (_at(*_LAYOUT, "tensors", 0, "path", value="logits/kernel"), "it has a weight twice"),
        (_at(*_LAYOUT, "tensors", 0, "path", value="x" * 5000), "the limit `path_characters`"),
        (_at(*_LAYOUT, "assets", value={"assets/../../x": "assets/y"}), "outside of the model"),
        (_at(*_LAYOUT, "assets", value={"assets/x": "assets/y"}), "does not have the file `assets/y`"),
        (_at(*_LAYOUT, "others", value={"layers/x": {"shape": [3], "dtype": "int8"}}), "does not hold `layers/x`"),
        (_at("after", "same_as", value={"conv_1/kernel": "gone"}), "what `gone` is made of"),
    ],
)
def test_architectures_that_lie(change: Callable[[Any], None], said: str, files: Path, tmp_path: Path) -> None:
    tensors, metadata = read(files / "structure.safetensors")
    document = document_of(tensors)
    change(document)
    save_file({**tensors, "document": packed(document)}, tmp_path / "p.safetensors", metadata)
    assert said in refused(files, tmp_path, tmp_path / "p.safetensors")


def test_a_small_patch_does_not_fill_the_disk(files: Path, tmp_path: Path) -> None:
    tensors, metadata = read(files / "structure.safetensors")
    document = document_of(tensors)
    layout = document["after"]["layout"]
    largest = max(layout["tensors"], key=lambda each: np.prod(each["shape"]))
    layout["tensors"] = [{**largest, "path": f"x{number}", "stored": ""} for number in range(9000)]
    document["after"]["same_as"] = {each["path"]: largest["path"] for each in layout["tensors"]}
    save_file({**tensors, "document": packed(document)}, tmp_path / "p.safetensors", metadata)
    assert "the limit `inflation`" in refused(files, tmp_path, tmp_path / "p.safetensors")
