"""Names in model files are data: each grammar that they pass through gives them back, and none reads more in them.

What stands for control characters is by mutspec's `in_one_line`, which tests/language/test_visible.py looks at.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mutspec.resources import resource_folder
from mutspec.text.visible import in_one_line
from tests.cli.conftest import Result, called
from tests.experiment.read_html import Page

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

SECRET = "the-value-of-a-variable"
PLACEHOLDERS = [f"name_of_layer_{number}" for number in range(6)]

PIECES = (
    *("${oc.env:MUTSPEC_SECRET}", "${MUTSPEC_SECRET}", "${params.std}", "${", "}", "$", "???", "null", "true", "1e3"),
    *("re:", "'", '"', "\\", "\\'", ",", "=", "(", ")", "[", "]", "{", "glob(*)", "*", "?", " ", "~", "+", "-", "!"),
    *("=1+1", "|", "\\|", "`", "``", "<b>", "<script>alert(1)</script>", "&lt;", "[a](http://b.c)", "https://b.c"),
    *("_a_", "**", "@user", "#1", "::error::", "%%{init}%%", "#quot;", "\\N", ";", "..", "a" * 80, "é", "漢", "👍"),
    *("\n", "\r", "\t", "\x1b[31m", "\x00", "\u202e", "\u200b", "\u2028", "\x85"),
)
PART = st.sampled_from(PIECES) | st.text("aB1 _.", min_size=1, max_size=3)
NAMES = st.lists(st.lists(PART, min_size=1, max_size=4).map("".join), min_size=6, max_size=6, unique=True)
"""Names of the layers of one model."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as Keras saves it."""
    path = tmp_path_factory.mktemp("plain") / "plain.keras"
    layers = [keras.layers.Dense(units, name=name) for units, name in enumerate(PLACEHOLDERS, 2)]
    keras.Sequential([keras.Input((1,), name="first"), *layers]).save(path)
    return path


def renamed(plain: Path, names: list[str], path: Path) -> Path:
    """The model with other names of its first layers: the weights in the file do not go by them."""
    with zipfile.ZipFile(plain) as base, zipfile.ZipFile(path, "w") as written:
        for member in base.namelist():
            data = base.read(member)
            if member == "config.json":
                for old, new in zip(PLACEHOLDERS, names, strict=False):
                    data = data.replace(json.dumps(old).encode(), json.dumps(new).encode())
            written.writestr(member, data)
    return path


@pytest.fixture(scope="module", autouse=True)
def _in_a_plain_page() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "400")
        patch.setenv("MUTSPEC_SECRET", SECRET)
        for variable in ("FORCE_COLOR", "NO_COLOR"):
            patch.delenv(variable, raising=False)
        yield


def shown(result: Result, *codes: int) -> str:
    """What a call prints, in which nothing is resolved, and nothing reaches a terminal that it would act upon."""
    assert result.code in (codes or (0,)), result.err
    for text in (result.out, result.err):
        assert SECRET not in text
        assert text == text.replace("\r", "").replace("\x1b", "").replace("\x00", "").replace("\u202e", "")
    return result.out


def cells(text: str) -> list[list[str]]:
    """The cells of all tables of a markdown text, as a parser of its own reads them."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and token.level > 3:
            rows[-1].append(plain_text(token))
    return rows


def plain_text(token: Any) -> str:
    """The text that a reader sees; an element other than one for code is a failure."""
    parts = []
    for child in token.children:
        assert child.type in ("text", "code_inline", "html_inline", "text_special", "softbreak"), (
            child.type,
            child.content,
        )
        if child.type == "html_inline":
            assert child.content in ("<code>", "</code>", "<!-- -->"), child.content
        else:
            parts.append(child.content)
    return "".join(parts)


@settings(max_examples=5, deadline=None)
@example(["${oc.env:MUTSPEC_SECRET}", "a\\|b`", "[a](http://b.c)<script>alert(1)</script>"])
@given(names=NAMES)
def test_what_is_shown_of_a_file_gives_names_back(plain: Path, names: list[str]) -> None:
    with TemporaryDirectory() as folder:
        model = str(renamed(plain, names, Path(folder, "m.keras")))
        document = json.loads(shown(called("inspect", model, "--json")))
        table, diff = shown(called("inspect", model)), shown(called("diff", str(plain), model, "--verbose"), 1)
        text = cells(shown(called("diff", str(plain), model, "--format", "markdown"), 1))
        for name in names:
            assert name in {layer["layer"] for layer in document["layers"]}
            assert in_one_line(name) in table
            assert in_one_line(name) in diff
            assert in_one_line(f"{name}/kernel") in {row[1] for row in text}


@settings(max_examples=5, deadline=None)
@example(["a\\|b`", '"]; n0 --> n1; %%{init}%%'])
@given(names=NAMES)
def test_what_a_plan_does_is_told_with_names_as_they_are(plain: Path, names: list[str]) -> None:
    recipe = str(resource_folder("conf") / "plan" / "dense_noise.yaml")
    weights = {in_one_line(f"{name}/kernel") for name in names}
    labels = {f"{weight}@0" for weight in weights}
    with TemporaryDirectory() as folder:
        model = str(renamed(plain, names, Path(folder, "m.keras")))
        text = shown(called("apply", recipe, model, "--dry-run", "--format", "markdown"))
        assert weights <= {row[0] for row in cells(text)}
        graph = json.loads(shown(called("graph", recipe, model, "--format", "json")))
        assert {f"{name}/kernel" for name in names} <= {node["attributes"].get("path") for node in graph["nodes"]}
        mermaid = shown(called("graph", recipe, model))
        inputs = re.findall(r"^  n\d+\(\[.*", mermaid, re.MULTILINE)
        read = [re.fullmatch(r'  n\d+\(\["([^"<>&`\\%]*)"\]\)', line) for line in inputs]
        assert all(read), inputs
        told = {re.sub(r"#([0-9]+);", lambda number: chr(int(number[1])), each[1]) for each in read if each}
        assert labels <= told
        dot = shown(called("graph", recipe, model, "--format", "dot"))
        inputs = re.findall(r"^  n\d+ .*shape=ellipse.*", dot, re.MULTILINE)
        read = [re.fullmatch(r'  n\d+ \[label="((?:[^"\\]|\\["\\])*)" shape=ellipse\];', line) for line in inputs]
        assert all(read), inputs
        assert labels <= {re.sub(r"\\(.)", r"\1", each[1]).replace("&amp;", "&") for each in read if each}


def sweep(plain: Path, names: list[str], folder: Path) -> Path:
    """The folder of a sweep over the layers of the model, with a job for each layer."""
    model = renamed(plain, names, folder / "m.keras")
    sensitivity = ("run", "-m", "experiment=sensitivity", "mode=dry_run", "plan.params.std=1", "seeds=1")
    shown(called(*sensitivity, f"model.path={model}", f"hydra.sweep.dir={folder / 'sweep'}"))
    return folder / "sweep"


@settings(max_examples=2, deadline=None)
@example(["${oc.env:MUTSPEC_SECRET}", "???", "re:.*", "*", "it's, \\'a' = (b)"])
@given(names=NAMES)
def test_a_sweep_over_layers_mutates_each_alone_and_resolves_nothing(plain: Path, names: list[str]) -> None:
    with TemporaryDirectory() as path:
        folder = sweep(plain, names, Path(path))
        results = [json.loads(each.read_text()) for each in sorted(folder.glob("*/result.json"))]
        assert sorted(result["rows"][0]["touched"] for result in results) == [
            units * (units - 1) for units in range(2, 8)
        ]
        assert {each.parent.parent for each in folder.glob("**/result.json")} == {folder}
        for file in folder.glob("**/*"):
            assert SECRET not in str(file)
            assert not file.is_file() or SECRET.encode() not in file.read_bytes()
        for file in folder.glob("**/*.yaml"):
            yaml.safe_load(file.read_text())
        layers = {result["parameters"]["layer"] for result in results}
        with (folder / "results.csv").open(newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        assert {re.sub("^'", "", row["params.layer"]) for row in rows} == layers
        assert not any(re.match(r"[=+@\t\r]|-\D", cell) for row in rows for cell in row.values())


def test_a_report_says_names_as_they_are(plain: Path, tmp_path: Path) -> None:
    folder = sweep(plain, ["${oc.env:MUTSPEC_SECRET}", "=1+1", "<script>alert(1)</script>", "a|b`\x1b[31m"], tmp_path)
    results = [json.loads(each.read_text()) for each in folder.glob("*/result.json")]
    told = shown(called("report", str(folder), "--verbose"))
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    for result in results:
        named = in_one_line(result["parameters"]["layer"])
        assert named in told
        assert named in {text for _, text in page.texts}
    assert sum(element == "script" for element, _ in page.elements) == 1


@pytest.mark.parametrize("subdir", ["${plan.params.layer}", "a/${plan.params.layer}"])
def test_a_name_does_not_lead_out_of_the_folder_of_a_sweep(plain: Path, subdir: str, tmp_path: Path) -> None:
    model = renamed(plain, ["../../.."], tmp_path / "m.keras")
    sensitivity = ("run", "-m", "experiment=sensitivity", "mode=dry_run", "plan.params.std=1", "seeds=1")
    result = called(
        *sensitivity, f"model.path={model}", f"hydra.sweep.dir={tmp_path}/s", f"hydra.sweep.subdir={subdir}"
    )
    assert result.code == 2
    assert "outside of the sweep's" in result.err
    assert [each.name for each in (tmp_path / "s").iterdir()] == ["multirun.yaml"]
