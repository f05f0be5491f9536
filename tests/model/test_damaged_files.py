"""Whatever a file contains, the result is a spec, or an error that says what is wrong and how to fix it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from tests.model.conftest import Zoo

OLD = Path(__file__).parents[1] / "data" / "old"


def refusal(path: Path, **options: Any) -> str:
    """The message and hint with which a file is refused."""
    with pytest.raises(ModelError) as caught:
        open_archive(path, **options)
    problem = caught.value.problems[0]
    assert problem.hint
    return f"{problem.message} | {problem.hint}"


def rewritten(
    source: Path,
    target: Path,
    *,
    config: Callable[[Any], Any] | bytes | None = None,
    weights: Callable[[h5py.File], None] | None = None,
    without: str = "",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A `.keras` file with a part changed or left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json" and config is not None:
                data = config if isinstance(config, bytes) else json.dumps(config(json.loads(data))).encode()
            if name == "model.weights.h5" and weights is not None:
                inner = target.with_suffix(".inner")
                inner.write_bytes(data)
                with h5py.File(inner, "r+") as file:
                    weights(file)
                data = inner.read_bytes()
            if name != without:
                new.writestr(name, data)
    return target


def test_what_is_not_a_model_is_refused(tmp_path: Path) -> None:
    empty, text, missing = tmp_path / "empty.keras", tmp_path / "text.keras", tmp_path / "missing.keras"
    empty.write_bytes(b"")
    text.write_text("hello")
    (tmp_path / "pointer.keras").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "empty" in refusal(empty)
    assert "not a model file" in refusal(text)
    assert "git lfs pull" in refusal(tmp_path / "pointer.keras")
    assert "folder" in refusal(tmp_path)
    assert "cannot be read" in refusal(missing)
    assert "cannot be read" in refusal(tmp_path / "no" / "such" / "folder.keras")
    assert "cannot be read" in refusal(tmp_path / ("long" * 100))
    assert "cannot be read" in refusal(tmp_path / "null\0byte")


def test_a_missing_file_suggests_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        open_archive(tmp_path / "modle.keras")
    assert caught.value.problems[0].candidates == ("model.keras",)


def test_the_content_decides_the_kind_and_not_the_name(zoo: Zoo, tmp_path: Path) -> None:
    kept = zoo["residual"]
    for suffix, source in ((".h5", kept.keras), (".keras", kept.h5), (".bin", kept.weights)):
        path = tmp_path / f"odd{suffix}"
        shutil.copy(source, path)
        assert open_archive(path).kind is open_archive(source).kind


@pytest.mark.parametrize("kind", ["keras", "h5", "weights"])
def test_a_truncated_file_is_refused_wherever_it_ends(zoo: Zoo, tmp_path: Path, kind: str) -> None:
    data = getattr(zoo["sequential"], kind).read_bytes()
    path = tmp_path / "cut"
    for end in range(1, len(data) - 1, max(1, len(data) // 20)):
        path.write_bytes(data[:end])
        refusal(path)


@pytest.mark.parametrize("kind", ["keras", "h5", "weights"])
def test_flipped_bytes_give_a_spec_or_an_error(zoo: Zoo, tmp_path: Path, kind: str) -> None:
    data = getattr(zoo["sequential"], kind).read_bytes()
    random = np.random.default_rng(5)
    path = tmp_path / "flipped"
    outcomes = set()
    for at in random.integers(0, len(data), 25):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        try:
            outcomes.add(type(open_archive(path)))
        except ModelError:
            outcomes.add(ModelError)
    assert outcomes == {Archive, ModelError}


def test_missing_members_are_named(zoo: Zoo, tmp_path: Path) -> None:
    source = zoo["sequential"].keras
    assert "config.json" in refusal(rewritten(source, tmp_path / "a", without="config.json"))
    assert "model.weights.h5" in refusal(rewritten(source, tmp_path / "b", without="model.weights.h5"))
    assert open_archive(rewritten(source, tmp_path / "c", without="metadata.json")).keras_version == ""


def test_bad_configs_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    source = zoo["sequential"].keras
    path = tmp_path / "bad.keras"
    for config in (b"", b"{", b"[]", b"\xff\xfe", b"1", b'{"x": ' + b"9" * 5000 + b"}"):
        assert "JSON" in refusal(rewritten(source, path, config=config))
    for config in (b"{}", b'{"class_name": 3}', b'{"class_name": "Sequential", "config": {"layers": [1]}}'):
        assert "config" in refusal(rewritten(source, path, config=config))


def test_a_huge_config_is_not_read(zoo: Zoo, tmp_path: Path) -> None:
    bomb = b'{"class_name": "' + b"a" * (65 * 2**20) + b'"}'
    path = rewritten(zoo["sequential"].keras, tmp_path / "bomb", config=bomb, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    assert "the limit `config_bytes` is 16,777,216" in refusal(path)


def test_deep_nesting_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    def bury(config: Any) -> Any:
        for _ in range(90):
            config = {"class_name": "TimeDistributed", "config": {"name": "deep", "layer": config}}
        return {"class_name": "Sequential", "config": {"name": "top", "layers": [config]}}

    assert "more than 64 levels" in refusal(rewritten(zoo["sequential"].keras, tmp_path / "deep", config=bury))


def test_a_compressed_file_is_read_but_has_no_offsets(zoo: Zoo, tmp_path: Path) -> None:
    plain = zoo["sequential"].keras
    archive = open_archive(rewritten(plain, tmp_path / "deflated", compression=zipfile.ZIP_DEFLATED))
    assert archive.spec == open_archive(plain).spec
    assert archive.member is not None
    assert archive.member.is_compressed
    assert {extent.offset for extent in archive.extents.values()} == {None}


def test_a_streamed_zip_states_its_crc_in_a_descriptor(zoo: Zoo, tmp_path: Path) -> None:
    class Pipe:
        """A target without seek, so that zipfile cannot go back to the local header."""

        def __init__(self, path: Path) -> None:
            self._file = path.open("wb")

        def write(self, data: bytes) -> int:
            return self._file.write(data)

        def flush(self) -> None:
            self._file.flush()

        def close(self) -> None:
            self._file.close()

    path = tmp_path / "streamed.keras"
    pipe = Pipe(path)
    with zipfile.ZipFile(zoo["sequential"].keras) as old, zipfile.ZipFile(pipe, "w") as new:  # type: ignore[call-overload]
        for name in old.namelist():
            new.writestr(name, old.read(name))
    pipe.close()
    member = open_archive(path).member
    assert member is not None
    data = path.read_bytes()
    assert member.crc32_offsets[1] >= member.offset + member.bytes
    assert all(data[at : at + 4] == member.crc32.to_bytes(4, "little") for at in member.crc32_offsets)


def test_a_zip_in_the_large_format_is_read(zoo: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "large.keras"
    with zipfile.ZipFile(zoo["sequential"].keras) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as member:
                member.write(old.read(name))
    archive = open_archive(path)
    assert archive.spec == open_archive(zoo["sequential"].keras).spec
    assert archive.member is not None
    with zipfile.ZipFile(path) as whole:
        assert path.read_bytes()[archive.member.offset :].startswith(whole.read("model.weights.h5"))


def test_chunked_and_compressed_datasets_have_no_offset(zoo: Zoo, tmp_path: Path) -> None:
    def chunk(file: h5py.File) -> None:
        group = file["layers/dense/vars"]
        value = group["0"][()]
        del group["0"]
        group.create_dataset("0", data=value, compression="gzip")

    archive = open_archive(rewritten(zoo["sequential"].keras, tmp_path / "chunked", weights=chunk))
    assert archive.extents["dense/kernel"].offset is None
    assert archive.extents["dense/bias"].offset is not None


def test_values_outside_the_file_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    def soft(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense_1/vars/0")

    def external_link(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")

    def external_values(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", (12, 5), "f4", external=[("/etc/passwd", 0, 240)])

    def virtual(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        layout = h5py.VirtualLayout((12, 5), "f4")
        layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (12, 5))
        file["layers/dense/vars"].create_virtual_dataset("0", layout)

    def twice(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = file["layers/conv2d/vars/1"]

    for number, change in enumerate((soft, external_link, external_values, virtual, twice)):
        assert "which Keras never" in refusal(
            rewritten(zoo["sequential"].keras, tmp_path / str(number), weights=change)
        )


def test_weights_that_do_not_fit_the_config_are_named(zoo: Zoo, tmp_path: Path) -> None:
    source = zoo["sequential"].keras

    def lacking(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]

    def absent(file: h5py.File) -> None:
        del file["layers/dense"]

    def extra(file: h5py.File) -> None:
        file["layers/dense/vars/2"] = np.zeros(3, "f4")

    def unexplained(file: h5py.File) -> None:
        file["layers/flatten/inner/vars/0"] = np.zeros(3, "f4")

    def rank(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.zeros((12, 5, 1), "f4")

    def extent(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.zeros((12, 6), "f4")

    for number, (change, said) in enumerate(
        {
            lacking: "`dense` (Dense) has 1 weights",
            absent: "weights of `dense` (Dense) are not in the file",
            extra: "`dense` (Dense) has 3 weights",
            unexplained: "`flatten` (Flatten) has weights in the file that are not in its config",
            rank: "`dense/kernel` is stored with shape (12, 5, 1)",
            extent: "units = 5",
        }.items()
    ):
        assert said in refusal(rewritten(source, tmp_path / str(number), weights=change))


def test_a_legacy_file_that_does_not_hold_what_it_lists_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    def changed(name: str, change: Callable[[h5py.File], None]) -> Path:
        path = tmp_path / name
        shutil.copy(zoo["sequential"].h5, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def without_layer(file: h5py.File) -> None:
        del file["model_weights/dense"]

    def without_weight(file: h5py.File) -> None:
        del file["model_weights/dense/sequential/dense/bias"]

    def renamed(file: h5py.File) -> None:
        file["model_weights"].attrs["layer_names"] = ["conv2d", "batch_normalization", "dense", "densest"]
        file.move("model_weights/dense_1", "model_weights/densest")

    def swapped(file: h5py.File) -> None:
        names = list(file["model_weights/dense"].attrs["weight_names"])
        file["model_weights/dense"].attrs["weight_names"] = names[::-1]

    assert "'dense'" in refusal(changed("a", without_layer))
    assert "bias" in refusal(changed("b", without_weight))
    assert "densest" in refusal(changed("c", renamed))
    assert "in no order" in refusal(changed("d", swapped))
    assert "no model_config" in refusal(changed("e", lambda file: file.attrs.__delitem__("model_config")))
    assert "JSON" in refusal(changed("f", lambda file: file.attrs.__setitem__("model_config", "{")))


def test_chunked_attributes_of_legacy_files_are_read(zoo: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "split.h5"
    shutil.copy(zoo["sequential"].h5, path)
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights"].attrs
        names = list(attributes["layer_names"])
        del attributes["layer_names"]
        attributes["layer_names0"], attributes["layer_names1"] = names[:3], names[3:]
    assert open_archive(path).spec == zoo["sequential"].live.spec


def test_an_architecture_of_another_model_is_refused(zoo: Zoo) -> None:
    assert "of another architecture" in refusal(zoo["sequential"].weights, architecture=zoo["residual"].keras)


def test_an_architecture_is_only_for_weights_files(zoo: Zoo) -> None:
    for path in (zoo["sequential"].keras, zoo["sequential"].h5):
        assert "has its own architecture" in refusal(path, architecture=path)


def test_hdf5_of_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(4)
    assert "no weights that Keras wrote" in refusal(path)
