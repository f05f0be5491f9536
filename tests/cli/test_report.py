"""`mutspec report`: how sweeps look, as JSON too, and what is said about wrong calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mutspec.experiment.reports import report
from tests.experiment.made_up import (
    LAYERS,
    RECIPES,
    SCALES,
    categories,
    failed,
    layers,
    result,
    row,
    several_plans,
    sketches,
    sweep,
    write,
)

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas/report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with sweeps and a single run below `runs`; pages are 80 wide."""
    error = "override 1:1:17: `std` takes a number of at least 0, not -1\n  1 | plan.params.std=-1"
    plans = several_plans({"conv_noise": 0.4, "dense_noise": 1.0}, SCALES[1:4])
    plans[4] = failed(4, plans[4].job.overrides, "dense_1/kernel: 3 entries are newly not finite")
    burst = row(4, 3, metrics={"accuracy": 0.1, "loss": float("nan")}, non_finite_outputs=5400)
    made = {
        "scales": [*sweep(), failed(25, ["plan.params.std=-1", "plan.seed=0"], error)],
        "plans": plans,
        "recipes": categories(RECIPES),
        "layers": layers(LAYERS),
        "single": [result(rows=[row(seed) for seed in range(5)], warnings=("`encoder` is reached by 2 paths",))],
        "burst": [*sweep()[:-1], result(24, ["plan.params.std=3", "plan.seed=4"], [burst], {"std": 3})],
    }
    for name, results in made.items():
        write(results, tmp_path / "runs" / name)
    (tmp_path / "runs" / "nothing").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # else there is a file more
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "runs"


@pytest.fixture
def _sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pictures. The tests below of the JSON document draw them, and tests of tests/experiment look at them."""
    monkeypatch.setattr(report, "pictures", sketches)


@pytest.mark.usefixtures("_sketched")
@pytest.mark.parametrize("name", ["scales", "plans", "recipes", "layers", "single", "burst"])
@pytest.mark.parametrize("width", [80, 140])
def test_a_report_looks_right(cli, runs, same_as, monkeypatch, name, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = cli("report", f"runs/{name}")
    assert (shown.code, shown.err) == (0, "")
    assert max(map(len, shown.out.splitlines())) <= width
    same_as(shown.out, f"report_{name}_{width}")


@pytest.mark.usefixtures("_sketched")
def test_a_report_looks_right_in_colour(cli, runs, same_as, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    (runs / "scales" / "7" / "result.json").write_text("{")
    same_as(cli("report", "runs/scales").out, "report_scales_80_coloured")


@pytest.mark.usefixtures("_sketched")
def test_a_loss_looks_right(cli, runs, same_as) -> None:
    same_as(cli("report", "runs/scales", "--metric", "loss").out, "report_loss_80")


@pytest.mark.parametrize("name", ["scales", "plans", "recipes", "layers", "single", "burst"])
def test_json_is_one_document_as_its_schema_describes_it(cli, runs, name) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    called = cli("report", f"runs/{name}", "--json", "--metric", "loss")
    document = json.loads(called.out, parse_constant=pytest.fail)
    Draft202012Validator(SCHEMA).validate(document)
    stems = ("map", "ranking") if name == "layers" else ()
    maps = [f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg", "pdf")]
    names = ("results.csv", "plot.png", "plot.svg", "plot.pdf", *maps, "report.html")
    assert document["files"] == [f"runs/{name}/{file}" for file in names]
    assert all(Path(file).is_file() for file in document["files"])


@pytest.mark.usefixtures("_sketched")
def test_json_has_the_groups_the_failures_and_the_warnings(cli, runs) -> None:
    (runs / "plans" / "5" / "result.json").write_text("{")
    document = json.loads(cli("report", "runs/plans", "--json").out)
    assert document["settings"] == ["plan", "params.std"]
    assert [group["settings"]["params.std"] for group in document["groups"]] == [0.1, 0.3, 1, 0.1]
    assert document["groups"][0]["seeds"] == [0, 1, 2, 3, 4]
    assert [failure["number"] for failure in document["jobs"]["failed"]] == [4]
    assert "runs/plans/5/result.json" in document["warnings"][0]


@pytest.mark.usefixtures("_sketched")
@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_damaged_result_is_named_the_others_are_shown_and_the_exit_code_is_1(cli, runs, content) -> None:
    for job in ("7", "12"):
        (runs / "scales" / job / "result.json").write_text(content)
    called = cli("report", "runs/scales")
    assert (called.code, called.err) == (1, "")
    assert all(f"runs/scales/{job}/result.json" in called.out for job in ("7", "12"))
    assert "24 jobs" in called.out
    assert len(Path("runs/scales/results.csv").read_text().splitlines()) == 25
    document = json.loads(cli("report", "runs/scales", "--json").out)
    assert len(document["warnings"]) == 2


def test_quiet_writes_the_files_and_says_only_what_went_wrong(cli, runs) -> None:
    called = cli("report", "runs/scales", "-q", "-o", "figures")
    assert (called.code, called.out, called.err) == (0, "", "")
    written = sorted(each.name for each in Path("figures").iterdir())
    assert written == ["plot.pdf", "plot.png", "plot.svg", "report.html", "results.csv"]
    (runs / "scales" / "7" / "result.json").write_text("{")
    called = cli("report", "runs/scales", "-q")
    assert (called.code, called.out) == (1, "")
    assert called.err.startswith("runs/scales/7/result.json: warning: the result is damaged")


@pytest.mark.usefixtures("_sketched")
def test_long_tables_are_shown_in_full_on_demand(cli, runs) -> None:
    write(sweep([n / 100 for n in range(1, 41)], seeds=1), runs / "long")
    assert "… and 21 more (--verbose shows all)" in cli("report", "runs/long").out
    assert "more" not in cli("report", "runs/long", "--verbose").out


@pytest.mark.usefixtures("_sketched")
def test_panels_and_means_are_for_the_caller_to_choose(cli, runs) -> None:
    called = cli("report", "runs/layers", "--average", "layer")
    assert (called.code, called.err) == (0, "")
    assert "averaged over layer" in called.out
    pages = []
    for name, options in {"own": [], "asked": ["--facet", "layer"]}.items():
        assert cli("report", "runs/layers", "-q", "-o", name, *options).code == 0
        pages.append(Path(name, "report.html").read_text(encoding="utf-8").count("<clipPath"))
    assert pages == [5, 5]  # five layers are too many for one panel
    assert cli("report", "runs/plans", "-q", "-o", "plans", "--facet", "plan").code == 0
    assert Path("plans/report.html").read_text(encoding="utf-8").count("<clipPath") == 2


WRONG = {
    "no folder": ("report", 2, ("missing argument 'DIR'",)),
    "a folder that is misspelt": ("report runs/scale", 2, ("runs/scale does not exist", "`runs/scales`")),
    "a folder of nowhere": ("report no/where", 2, ("no/where does not exist",)),
    "a folder without results": ("report runs/nothing", 2, ("no result.json in runs/nothing", "mutspec run")),
    "a file": ("report runs/notes.txt", 2, ("runs/notes.txt is a file", "name the output folder")),
    "a result": ("report runs/scales/3/result.json", 2, ("is a file", "name its folder: runs/scales/3")),
    "an empty name": ("report=", 2, ("DIR is empty",)),
    "a metric that is misspelt": ("report runs/scales --metric acuracy", 2, ("`acuracy`", "did you mean `accuracy`")),
    "a metric of nothing like it": ("report runs/scales --metric f1", 2, ("`accuracy`, `loss`, `agreement`",)),
    "a facet that is misspelt": ("report runs/plans --facet plam", 2, ("no setting `plam`", "did you mean `plan`")),
    "a facet of nothing": ("report runs/scales --facet layer", 2, ("no setting `layer`", "nothing else varies")),
    "the axis as a facet": ("report runs/scales --facet std", 2, ("`std` is the axis", "nothing else varies")),
    "an average that is misspelt": ("report runs/plans --average plam", 2, ("`plam`", "did you mean `plan`")),
    "an output that is a file": ("report runs/scales -o runs/notes.txt", 2, ("runs/notes.txt is a file",)),
    "an output that cannot be": ("report runs/scales -o runs/notes.txt/a", 3, ("cannot write runs/notes.txt/a",)),
    "an option that is misspelt": ("report runs/scales --metrics loss", 2, ("did you mean `--metric`",)),
    "two folders": ("report runs/scales runs/plans", 2, ("runs/plans", "mutspec report --help")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_named_and_writes_nothing(cli, runs, name) -> None:
    call, code, said = WRONG[name]
    called = cli("report", "") if call == "report=" else cli(*call.split())
    assert (called.code, called.out) == (code, "")
    assert all(words in called.err for words in said), called.err
    assert "Traceback" not in called.err
    assert not list(runs.parent.rglob("results.csv"))


def test_the_help_has_examples() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-m", "mutspec", "report", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "mutspec report runs/" in shown.partition("Examples:")[2]
    assert max(map(len, shown.splitlines())) <= 100


def test_a_report_needs_neither_models_nor_hydra(runs) -> None:
    code = (
        "import sys; from mutspec.cli.boundary import run; from mutspec.cli.main import cli\n"
        "run(cli, ['report', 'runs/scales', '-q'], 'mutspec'); print(*sorted(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not {"keras", "tensorflow", "hydra", "omegaconf", "matplotlib.pyplot"} & set(done.stdout.split())
    assert (runs / "scales" / "plot.png").is_file()
