"""Mutants say where they come from: in every format, bounded, the same bytes each time, and only as much as is true."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

import mutspec
from mutspec.access.fingerprint import fingerprint
from mutspec.errors import CallError, CheckError, EnvironmentProblem, ModelError
from mutspec.execute import provenance as recording
from mutspec.execute.files import apply
from mutspec.execute.replay import replay
from mutspec.language import load_plan, load_text
from mutspec.language.recipe_files import shipped_files
from mutspec.language.writing import document_yaml
from mutspec.model import provenance as records
from mutspec.model.files.opening import open_archive
from mutspec.model.files.provenance_file import COMMENT_BYTES, is_of_other_file, read_provenance, sidecar_of
from mutspec.model.provenance import Provenance, provenance_schema, written
from mutspec.ops import catalogue
from tests.execute.model_files import ROOT, make_file
from tests.execute.test_failing_writes import failing, some
from tests.execute.test_output import names
from tests.toys import plan_of
from tests.without_keras import BLOCKER

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

CATALOGUE = catalogue()
NOISE = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": "${params.std}"}
PLAN = plan_of(NOISE, name="jitter", params={"std": 0.5}, seed=3)
OTHER = plan_of({"op": "zero", "target": {"weights": "biases"}}, name="silence")
GRAFT = plan_of(
    {"op": "transfer_weights", "source": "teacher:dense", "target": "dense"}, name="graft", inputs={"teacher": {}}
)
KINDS = ("keras", "keras with data descriptors", "keras, deflated", "h5", "h5, gzipped datasets")


def provenance_of(model: Path) -> Provenance:
    found = read_provenance(model)
    assert found is not None
    assert not is_of_other_file(found, model)
    return found


def without_comment(data: bytes) -> bytes:
    """A zip file without the comment at its end."""
    end = data.rindex(b"PK\x05\x06")
    return data[: end + 20] + b"\0\0"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_says_what_made_it_and_has_the_same_bytes_each_time(kind: str, tmp_path: Path) -> None:
    base = make_file(kind, tmp_path)
    for name in ("first", "second", "bare"):
        apply(PLAN, base, tmp_path / f"{name}{base.suffix}", provenance=name != "bare", threads=2)
    first, second, bare = (tmp_path / f"{name}{base.suffix}" for name in ("first", "second", "bare"))
    assert first.read_bytes() == second.read_bytes()
    if base.suffix == ".keras":
        assert without_comment(first.read_bytes()) == bare.read_bytes()
        assert zipfile.ZipFile(first).testzip() is None
        assert not sidecar_of(first).exists()
    else:
        assert first.read_bytes() == bare.read_bytes()
        assert sidecar_of(first).read_bytes() == sidecar_of(second).read_bytes()
    assert read_provenance(bare) is None
    (made,) = provenance_of(first).generations
    assert (made.plan.name, made.plan.digest, made.seed, made.parameters) == ("jitter", PLAN.digest, 3, {"std": 0.5})
    assert made.parent.digest == fingerprint(open_archive(base)).digest
    assert made.versions.numpy == np.__version__
    assert str(tmp_path) not in json.dumps(msgspec.to_builtins(made))


def test_a_mutant_of_a_mutant_has_one_provenance_with_that_of_its_parent_in_it(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    first, second, bare = (tmp_path / f"{name}.keras" for name in ("first", "second", "bare"))
    apply(PLAN, base, first, provenance=True)
    report = apply(OTHER, first, second, provenance=True)
    assert report.sidecar is None
    assert [each.plan.name for each in provenance_of(second).generations] == ["silence", "jitter"]
    assert provenance_of(second).generations[0].parent.digest == fingerprint(open_archive(first)).digest
    apply(OTHER, first, bare)
    assert read_provenance(bare) is None, "a mutant must not pass for its parent"
    assert len(bare.read_bytes()) == len(base.read_bytes())
    as_weights = tmp_path / "third.safetensors"
    assert apply(OTHER, second, as_weights, provenance=True).sidecar == sidecar_of(as_weights)
    assert len(provenance_of(as_weights).generations) == 3


def test_other_commands_see_the_same_model_with_and_without_it(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    for name, has in (("with", True), ("without", False)):
        apply(PLAN, base, tmp_path / f"{name}.keras", provenance=has)
    assert mutspec.diff(tmp_path / "with.keras", tmp_path / "without.keras").identical
    assert mutspec.provenance(tmp_path / "with.keras") == provenance_of(tmp_path / "with.keras")
    assert mutspec.provenance(tmp_path / "without.keras") is None


def test_a_comment_of_somebody_else_is_kept(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "out.keras"
    with zipfile.ZipFile(base, "a") as file:
        file.comment = b"from the archive of 2019"
    report = apply(PLAN, base, output, provenance=True)
    assert zipfile.ZipFile(output).comment == b"from the archive of 2019"
    assert report.sidecar == sidecar_of(output)
    assert len(provenance_of(output).generations) == 1


def test_the_oldest_generations_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "COMMENT_BYTES", 2000)
    model = make_file("keras", tmp_path)
    for number in range(6):
        output = tmp_path / f"{number}.keras"
        apply(PLAN.with_(seed=number), model, output, provenance=True)
        model = output
    found = provenance_of(model)
    assert found.dropped + len(found.generations) == 6
    assert [each.seed for each in found.generations] == list(range(5, found.dropped - 1, -1))
    assert 1 < len(found.generations) < 6
    text = written(found)
    many = Provenance(found.generations * 40, dropped=1)
    monkeypatch.setattr(records, "MOST_GENERATIONS", 3)
    assert records.read(written(many), "it").dropped == len(many.generations) + 1 - 3
    assert records.read(text, "it") == found


def test_a_plan_that_is_too_large_for_the_file_goes_beside_it(tmp_path: Path) -> None:
    base, output = make_file("keras", tmp_path), tmp_path / "out.keras"
    plan = plan_of({"op": "zero", "target": {"weights": "biases"}}, metadata={"why": "x" * COMMENT_BYTES})
    assert apply(plan, base, output, provenance=True).sidecar == sidecar_of(output)
    assert provenance_of(output).generations[0].plan.digest == plan.digest


def test_what_is_written_is_what_the_schema_says(tmp_path: Path) -> None:
    base, teacher = make_file("h5", tmp_path), make_file("h5", tmp_path, "teacher")
    apply(GRAFT, base, tmp_path / "out.h5", inputs={"teacher": teacher}, provenance=True)
    document = json.loads(sidecar_of(tmp_path / "out.h5").read_bytes())
    assert document["generations"][0]["inputs"]["teacher"] == document["generations"][0]["parent"]
    schema = json.loads((ROOT / "schemas" / "provenance.schema.json").read_text())
    assert schema == provenance_schema(), "run: mutspec schema provenance > schemas/provenance.schema.json"
    jsonschema.validate(document, schema)


# -- side-cars are a part of the output


def test_an_old_side_car_never_stays_beside_a_new_output(tmp_path: Path) -> None:
    base, output = make_file("h5", tmp_path), tmp_path / "out.h5"
    apply(PLAN, base, output, provenance=True)
    output.unlink()
    for has in (True, False):
        with pytest.raises(CallError, match=r"out\.h5\.provenance\.json exists"):
            apply(OTHER, base, output, provenance=has)
    output.write_bytes(b"old")
    output.chmod(0o640)
    apply(OTHER, base, output, provenance=True, force=True)
    assert provenance_of(output).generations[0].plan.name == "silence"
    assert [each.stat().st_mode & 0o777 for each in (output, sidecar_of(output))] == [0o640, 0o640]
    apply(OTHER, base, output, force=True)
    assert names(tmp_path) == ["base.h5", "out.h5"]


@pytest.mark.parametrize("which", ["another mutant", "one bit", "shorter", "a folder"])
def test_a_side_car_is_about_no_other_file_that_has_come_to_lie_there(which: str, tmp_path: Path) -> None:
    base, output = make_file("h5", tmp_path), tmp_path / "out.h5"
    apply(PLAN, base, output, provenance=True)
    found, content = provenance_of(output), bytearray(output.read_bytes())
    if which == "another mutant":
        apply(PLAN.with_(seed=9), base, tmp_path / "other.h5")
        content = bytearray((tmp_path / "other.h5").read_bytes())
        assert len(content) == output.stat().st_size
    elif which == "one bit":
        content[len(content) // 2] ^= 1
    elif which == "shorter":
        del content[-1:]
    output.unlink()
    if which == "a folder":
        output.mkdir()
    else:
        output.write_bytes(content)
    assert is_of_other_file(found, output)
    if which == "another mutant":
        report = apply(OTHER, output, tmp_path / "next.h5", provenance=True)
        (warning,) = [each for each in report.warnings if "begins with this plan" in each.message]
        assert "was written for another file" in warning.message
        assert len(provenance_of(tmp_path / "next.h5").generations) == 1


@pytest.mark.parametrize("force", [False, True])
def test_a_call_that_fails_leaves_the_old_output_and_side_car_and_nothing_else(force: bool, tmp_path: Path) -> None:
    base, output = make_file("h5", tmp_path), tmp_path / "out.h5"

    def tried(call: str, number: int) -> tuple[dict[str, int], str]:
        for each in (output, sidecar_of(output)):
            each.write_bytes(b"old") if force else each.unlink(missing_ok=True)
        with failing(call, number) as made:
            try:
                apply(PLAN, base, output, provenance=True, force=force, threads=1)
            except (EnvironmentProblem, CallError) as error:
                return made, str(error)
        return made, ""

    calls, _ = tried("none", 0)
    refused = 0
    for call, number in [(call, number) for call, count in calls.items() for number in some(count)]:
        _, message = tried(call, number)
        if message:
            refused += 1
            assert names(tmp_path) == (["base.h5", "out.h5", "out.h5.provenance.json"] if force else ["base.h5"]), call
            assert not force or {output.read_bytes(), sidecar_of(output).read_bytes()} == {b"old"}, (call, number)
        else:
            assert provenance_of(output).generations[0].plan.name == "jitter"
    assert refused > 5


def test_a_checked_output_takes_its_side_car_along(tmp_path: Path) -> None:
    from mutspec.execute.checked import _beside

    with _beside(tmp_path / "out.h5", force=False) as made:
        made.write_bytes(b"model")
        sidecar_of(made).write_bytes(b"about it")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
        "out.h5": b"model",
        "out.h5.provenance.json": b"about it",
    }


# -- what files say is not trusted


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "is not JSON": lambda _: "{",
    "is not a JSON object": lambda _: [],
    "states no format_version": lambda document: {**document, "format_version": "1"},
    "has the format 7": lambda document: {**document, "format_version": 7},
    "Object missing required field `plan`": lambda document: {**document, "generations": [{}]},
    "length >= 1": lambda document: {**document, "generations": []},
    "is not the one whose digest": lambda document: changed(document, "name", "other"),
    "is not a plan": lambda document: changed(document, "steps", [1], again=True),
    "the limit `config_depth`": lambda document: changed(document, "metadata", nested(300)),
}


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def changed(document: dict[str, Any], key: str, value: Any, *, again: bool = False) -> dict[str, Any]:
    """The document with another plan; `again` states the right digest for it."""
    plan = document["generations"][0]["plan"]
    plan["document"][key] = value
    plan["digest"] = records.digest_of(plan["document"]) if again else plan["digest"]
    return document


@pytest.mark.parametrize("message", BAD)
def test_a_damaged_provenance_is_an_error_of_its_own_and_of_nothing_else(message: str, tmp_path: Path) -> None:
    base, output = make_file("h5", tmp_path), tmp_path / "out.h5"
    apply(PLAN, base, output, provenance=True)
    sidecar = sidecar_of(output)
    bad = BAD[message](json.loads(sidecar.read_bytes()))
    sidecar.write_text(bad if isinstance(bad, str) else json.dumps(bad))
    with pytest.raises(ModelError, match=message) as caught:
        read_provenance(output)
    assert "save the model" not in caught.value.problems[0].hint  # that would delete what is left of it
    assert open_archive(output).spec.tensors
    report = apply(OTHER, output, tmp_path / "next.h5", provenance=True)
    assert any("begins with this plan" in problem.message for problem in report.warnings)
    assert len(provenance_of(tmp_path / "next.h5").generations) == 1


def test_the_loader_judges_the_plan_in_a_provenance(tmp_path: Path) -> None:
    base, output = make_file("h5", tmp_path), tmp_path / "out.h5"
    apply(PLAN, base, output, provenance=True)
    document = json.loads(sidecar_of(output).read_bytes())
    document = changed(document, "params", {"unused": 1})
    document = changed(document, "steps", [{"op": "run_code", "target": "re:("}], again=True)
    sidecar_of(output).write_text(json.dumps(document))
    message = "in the plan `jitter` of the provenance: there is no op `run_code`"
    with pytest.raises(mutspec.PlanError, match=message) as caught:
        replay(provenance_of(output), output, base, CATALOGUE)
    assert not any(problem.rule for problem in caught.value.problems)


def test_it_is_shown_without_keras(tmp_path: Path) -> None:
    base = make_file("keras", tmp_path)
    (tmp_path / "plan.yaml").write_text(document_yaml(PLAN.document))
    calls = ["apply plan.yaml base.keras -o out.keras -q", "provenance out.keras --replay base.keras"]
    code = f"""{BLOCKER}
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
sys.exit(sum(run(cli, call.split(), "mutspec") for call in {calls}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=base.parent, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 mutation of base.keras made again: identical to out.keras, to the bit\n"


# -- made again


@pytest.mark.parametrize("suffix", [".keras", ".safetensors"])
def test_a_mutant_is_made_again_from_its_base_wherever_that_is(suffix: str, tmp_path: Path) -> None:
    base = shutil.copy(ROOT / "conf/model/digits.keras", tmp_path / "base.keras")
    plan = plan_of({"op": "insert_layer", "after": "dense_1", "layer": {"type": "Dense", "units": "same"}}, name="more")
    first, second, third = tmp_path / "first.keras", tmp_path / "second.keras", tmp_path / f"third{suffix}"
    apply(PLAN, base, first, provenance=True)
    apply(plan, first, second, provenance=True)
    apply(OTHER, second, third, provenance=True)
    moved = base.rename(tmp_path / "moved.keras")
    done = replay(provenance_of(third), third, moved, CATALOGUE)
    assert (done.generations, done.difference.identical) == (3, True)
    assert replay(provenance_of(third), third, second, CATALOGUE).generations == 1


def test_a_replay_keeps_only_the_model_that_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [make_file("h5", tmp_path), *(tmp_path / f"{number}.h5" for number in range(4))]
    for before, after in pairwise(models):
        apply(PLAN, before, after, provenance=True)
    counts = []

    def counted(plan: Any, model: Path, output: Path, **options: Any) -> None:
        apply(plan, model, output, **options)
        counts.append(len(list(output.parent.iterdir())))

    monkeypatch.setattr("mutspec.execute.replay.apply", counted)
    assert replay(provenance_of(models[-1]), models[-1], models[0], CATALOGUE).difference.identical
    assert counts == [1, 2, 2, 2]


def test_what_is_not_what_the_provenance_makes_is_named(tmp_path: Path) -> None:
    base, teacher, output = (make_file("h5", tmp_path, name) for name in ("base", "teacher", "out"))
    apply(PLAN, base, teacher, force=True)
    apply(GRAFT, base, output, inputs={"teacher": teacher}, provenance=True, force=True)
    found = provenance_of(output)
    assert replay(found, output, base, CATALOGUE, inputs={"teacher": teacher}).difference.identical
    with pytest.raises(CallError, match="`graft` reads another model, `teacher`"):
        replay(found, output, base, CATALOGUE)
    with pytest.raises(CheckError, match="is not the model that `graft` read"):
        replay(found, output, base, CATALOGUE, inputs={"teacher": base})
    with pytest.raises(CheckError, match="has the structure of it, but other weights"):
        replay(found, output, teacher, CATALOGUE, inputs={"teacher": teacher})
    other = tmp_path / "other.h5"
    apply(OTHER, output, other)
    difference = replay(found, other, base, CATALOGUE, inputs={"teacher": teacher}).difference
    assert {tensor.weight for tensor in difference.tensors} == {"bias"}


def test_a_past_that_somebody_made_up_is_found_out(tmp_path: Path) -> None:
    base, first, second = make_file("h5", tmp_path), tmp_path / "first.h5", tmp_path / "second.h5"
    apply(PLAN, base, first, provenance=True)
    apply(OTHER, first, second, provenance=True)
    newest, oldest = provenance_of(second).generations
    plan = msgspec.structs.replace(oldest.plan, document={**oldest.plan.document, "seed": 4})
    made_up = Provenance((newest, msgspec.structs.replace(oldest, plan=plan)))
    with pytest.raises(CheckError, match="`jitter` does not make the model that `silence` was applied to"):
        replay(made_up, second, base, CATALOGUE)
    later = msgspec.structs.replace(oldest.versions, stream="9")
    made_later = Provenance((newest, msgspec.structs.replace(oldest, versions=later)))
    with pytest.raises(
        EnvironmentProblem, match="streams of `jitter` have version 9, and this mutspec replays 1: a newer one does"
    ):
        replay(made_later, second, base, CATALOGUE)


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: path.stem)
def test_a_plan_is_written_as_yaml_that_is_the_same_plan(path: Path) -> None:
    plan = load_plan(path, CATALOGUE)
    assert load_text(document_yaml(plan.document), CATALOGUE).digest == plan.digest


def test_values_that_yaml_could_take_for_others_stay_what_they_are() -> None:
    names = ["1e-3", "on", "null", "~", "a: b", "[x]", "*a", "&b", "#c", "é\u2028\x7f\\", "012", ".inf", "y", "", "{}"]
    step = {"op": "zero", "target": {"name": names}, "allow_empty": True}
    document = plan_of(step, metadata={name: [1e-05, float("inf"), -1, True, None, {}] for name in names}).document
    assert load_text(document_yaml(document), CATALOGUE).document == document
