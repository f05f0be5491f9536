"""Lock files: what is written reads back the same, and files of other people are refused with their places."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import mutspec
from mutspec.errors import CallError, PlanError
from mutspec.language.document import parse
from mutspec.language.nodes import plain
from mutspec.recipes.lock_document import LockedStep, written_name
from mutspec.recipes.lock_file import lock_text, read_lock
from mutspec.recipes.testing.reading import read_test_file
from tests.cli.conftest import ROOT, called

NAMES = st.text(max_size=12) | st.sampled_from(
    [
        "${oc.env:HOME}",
        "=1+1",
        "1e-3",
        "on",
        "null",
        "~",
        "<<",
        "a: b",
        "- a",
        "# a",
        "%24{",
        "\x1b[31m",
        "0x_",
        "\ud800",
    ]
)
TEXTS = NAMES.map(written_name)  # a plan has no control characters
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(names=st.lists(NAMES, unique=True, max_size=4), values=st.dictionaries(TEXTS, VALUES, max_size=3))
def test_what_is_written_reads_back_the_same(names: list[str], values: dict[str, Any], locked_folder: Path) -> None:
    lock = read_lock(locked_folder / "plan.lock.yaml").lock
    targets = {written_name(name): 3 for name in names}
    assert len(targets) == len(names)
    step = LockedStep(id="a", op="b", keys=values, targets=targets)
    document = plain(parse(lock_text(replace(lock, steps=(step,)), "mutspec lock")).root)
    read = document["steps"][0]
    assert {"keys": read.get("keys", {}), "targets": read.get("targets", {})} == {
        "keys": finite(values),
        "targets": targets,
    }


def finite(value: Any) -> Any:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list) else value


HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": ("", ": a lock is empty"),
    "a list": ("[1]", ": a lock must be a mapping"),
    "a plan": ("mutspec: 1\nsteps: []\n", ": this is not a lock"),
    "a model file": (b"PK\x03\x04", "this is a model file, not a lock"),
    "UTF-16": (b"\xff\xfel\0", "the file is UTF-16, but a lock must be UTF-8"),
    "of control characters": ("lock: \0", "a NUL character is not allowed in a lock"),
    "not text": (b"lock: \xff", ":1:7: the byte 0xff is not UTF-8"),
    "of a later version": ("lock: 2", ":1:7: this mutspec reads version 1 of the format of a lock, not 2"),
    "true": ("lock: true", ":1:7: this mutspec reads version 1 of the format of a lock, not true"),
    "deep": ("lock: 1\nplan: " + "[" * 500, "nests deeper than 64 levels"),
    "huge": ("lock: 1\nx: " + "y" * (17 * 2**20), "the file is larger than 16 MiB"),
    "of aliases": (
        "lock: 1\na: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
        "aliases",
    ),
    "code": ("lock: !!python/object/apply:os.system [ls]", "a lock cannot use the YAML tag"),
    "twice": ("lock: 1\nlock: 1", ":2:1: the key `lock` occurs twice"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_not_a_lock_is_refused_with_its_place(what: str, tmp_path: Path) -> None:
    content, words = HOSTILE[what]
    path = tmp_path / "a.lock.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CallError) as error:
        read_lock(path)
    assert words in str(error.value)
    assert "plan comes before" not in str(error.value)


def test_a_recipe_test_that_is_not_text_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_bytes(b"\xff\xfel\0")
    with pytest.raises(PlanError, match="the file is UTF-16, but a recipe test must be UTF-8"):
        read_test_file(path, tmp_path)


EDITS: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "a misspelt key": (("plan", "sead"), 3, "`plan` has no key `sead`"),
    "a list for a text": (("plan", "digest"), [], "`plan.digest` takes text, not an empty list"),
    "a text for a number": (("plan", "seed"), "many", "takes a whole number of at least 0, not the text"),
    "a number below zero": (
        ("steps", 0, "targets", "dense_1/kernel"),
        -1,
        "takes a whole number of at least 0, not -1",
    ),
    "a mapping for steps": (("steps",), {"a": 1}, "`steps` takes a list, not a mapping"),
    "a text for a tolerance": (
        ("result", "tolerance"),
        {"relative_l2": "much"},
        "`result.tolerance.relative_l2` is not valid",
    ),
    "a stream that is no number": (("plan", "stream"), "new " * 99, "and this mutspec replays 1: it no longer can"),
    "a plan elsewhere": (("plan", "file"), "../../plan.yaml", "names the plan outside of its folder"),
    "a plan by its path": (("plan", "file"), "/etc/passwd", "names the plan outside of its folder"),
    "a model elsewhere": (("model", "file"), "../../m.keras", "names the model outside of its folder"),
    "a model with a NUL": (("model", "file"), "m\0.keras", "NUL character"),
    "an input elsewhere": (
        ("inputs", "teacher", "file"),
        "/dev/zero",
        "names the input `teacher` outside",
    ),
    "data elsewhere": (("data",), {"file": "../../d.npz", "digest": ""}, "names the data outside of its folder"),
    "an architecture elsewhere": (("model", "architecture"), "/etc/passwd", "names the architecture outside"),
    "a key of the user's own": (("x-mine",), 1, "a lock is not valid: Object contains unknown field `x-mine`"),
    "an override that is none": (("plan", "overrides"), ["steps"], "override"),
    "an override of code": (("plan", "overrides"), ["params.std=${oc.env:HOME}"], "params"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_lock_is_refused_and_opens_nothing_elsewhere(what: str, folder: Path) -> None:
    path, value, words = EDITS[what]
    lock = folder / "plan.lock.yaml"
    document = yaml.safe_load(lock.read_text())
    part = document
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    lock.write_text(yaml.safe_dump(document, sort_keys=False).replace("\\0", "\0"))
    for call in (["lock", "--check"], ["verify", "plan.lock.yaml"], ["lock", "--update"]):
        result = called(*call)
        if call[-1] == "--update" and what.startswith("a stream"):
            continue  # that is how it is mended
        assert (result.code, result.out) == (3 if what.startswith("a stream") else 2, ""), result
        assert words in result.err
        assert "Traceback" not in result.err


def test_the_names_of_layers_are_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"dense_1": "${oc.env:HOME}", "conv_1": "1e-3", "bn_1": "%24{a}", "relu_1": "<<"}
    with zipfile.ZipFile(ROOT / "conf/model/digits.keras") as old, zipfile.ZipFile("model.keras", "w") as new:
        for info in old.infolist():
            data = old.read(info)
            for was, name in names.items() if info.filename == "config.json" else ():
                data = data.replace(f'"{was}"'.encode(), f'"{name}"'.encode())
            new.writestr(info, data)
    Path("plan.yaml").write_text("mutspec: 1\nsteps: [{op: negate, target: {weights: kernels}}]\n")
    made = mutspec.lock("plan.yaml", "model.keras")
    assert {"%24{oc.env:HOME}/kernel", "1e-3/kernel"} <= made.lock.steps[0].targets.keys()
    assert {"%2524{a}", "%3C<", "1e-3"} <= made.lock.model.layers.keys()
    assert mutspec.verify("plan.lock.yaml").notes == ()


def test_the_lock_on_the_page_is_what_is_written(folder: Path) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    shown = page.partition("```yaml\n")[2].partition("```")[0].splitlines()
    (folder / "dense_noise.yaml").write_bytes((ROOT / "conf/plan/dense_noise.yaml").read_bytes())
    assert called("lock", "dense_noise.yaml", "model.keras").out in page
    lines = (folder / "dense_noise.lock.yaml").read_text().splitlines()
    assert [line for line in shown if line not in lines] == []
    refused = ["-o", "mutant.keras", "--locked", "--set", "params.std=0.2"]
    message = called("apply", "dense_noise.yaml", "model.keras", *refused).err.partition("\n\n")[0]
    assert f"{message}\n```" in page
