"""Reports: what is written where, and what is said."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import pytest

from mutspec.errors import CallError, EnvironmentProblem
from mutspec.experiment.reports.report import make_report, write_report
from tests.experiment.made_up import failed, replace, result, row, sketches, sweep, write

WRITTEN = ["plot.pdf", "plot.png", "plot.svg", "report.html", "results.csv"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep of 25 jobs."""
    return write(sweep(), tmp_path / "runs" / "dense_noise")


@pytest.fixture
def _sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pictures, where a test is not about them."""
    monkeypatch.setattr("mutspec.experiment.reports.report.pictures", sketches)


def files(folder: Path) -> list[str]:
    """Those in a folder that do not depend on whether pyarrow is installed."""
    return sorted(each.name for each in folder.iterdir() if each.is_file() and each.suffix != ".parquet")


def test_a_report_is_a_table_and_its_files(folder: Path) -> None:
    text = write_report(folder)
    assert files(folder) == WRITTEN
    assert "dense_noise on digits.keras" in text
    assert "97.2% ± 0.0%" in text
    # A long path is folded.
    assert "".join(text.split()).endswith("".join(f"plot.png, plot.svg, plot.pdf and report.html in {folder}".split()))
    with (folder / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 25


def test_a_report_is_the_same_when_it_is_made_again(folder: Path) -> None:
    text = write_report(folder)
    first = {name: (folder / name).read_bytes() for name in WRITTEN}
    assert write_report(folder) == text
    assert {name: (folder / name).read_bytes() for name in WRITTEN} == first


def test_a_report_does_not_depend_on_where_the_folder_lies(folder: Path, tmp_path: Path) -> None:
    write_report(folder)
    shutil.move(folder, tmp_path / "moved")
    write_report(tmp_path / "moved", output=tmp_path / "again")
    for name in WRITTEN:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "moved" / name).read_bytes()


@pytest.mark.usefixtures("_sketched")
def test_a_report_can_be_written_elsewhere_and_leaves_the_folder_as_it_is(folder: Path, tmp_path: Path) -> None:
    write_report(folder, output=tmp_path / "new" / "figures")
    assert files(tmp_path / "new" / "figures") == WRITTEN
    assert files(folder) == []


def test_another_metric_is_another_table_and_picture_and_the_same_rows(folder: Path, tmp_path: Path) -> None:
    accuracy, loss = write_report(folder), write_report(folder, metric="loss", output=tmp_path / "loss")
    assert "Loss" in loss
    assert "Loss" not in accuracy
    assert (folder / "results.csv").read_bytes() == (tmp_path / "loss/results.csv").read_bytes()
    assert (folder / "plot.png").read_bytes() != (tmp_path / "loss/plot.png").read_bytes()


def test_without_matplotlib_there_is_all_but_the_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = " ".join(write_report(folder).split())
    assert files(folder) == ["report.html", "results.csv"]
    assert "<svg" in (folder / "report.html").read_text()
    assert "warning: a picture needs Matplotlib" in text
    assert "pip install 'mutspec[plot]'" in text
    assert "report.html in" in text


@pytest.mark.usefixtures("_sketched")
def test_damaged_and_missing_results_are_named_and_the_rest_is_used(folder: Path) -> None:
    (folder / "3" / "result.json").write_text("{")
    (folder / "4" / "result.json").unlink()
    (folder / "4" / ".hydra").mkdir()
    report = make_report(folder)
    assert [problem.message.partition(":")[0] for problem in report.warnings] == [
        "the result is damaged",
        "1 job left no result",
    ]
    assert len(report.summary.results) == 23
    assert files(folder) == WRITTEN


@pytest.mark.usefixtures("_sketched")
def test_what_jobs_warned_of_is_said_once(tmp_path: Path) -> None:
    results = [replace(each, warnings=("`encoder` is reached by 2 paths",)) for each in sweep()]
    results[3] = replace(results[3], warnings=(*results[3].warnings, "12 outputs are not finite."))
    messages = [problem.message for problem in make_report(write(results, tmp_path)).warnings]
    assert messages == ["`encoder` is reached by 2 paths", "12 outputs are not finite (1 job)"]


def test_a_sweep_whose_jobs_all_failed_has_a_table_and_no_picture(tmp_path: Path) -> None:
    write([failed(n, [f"plan.params.std={n}"], "boom") for n in range(3)], tmp_path)
    assert "3 jobs failed" in write_report(tmp_path)
    assert files(tmp_path) == ["report.html", "results.csv"]


def test_dry_runs_have_a_table_and_no_picture(tmp_path: Path) -> None:
    rows = [row(0, metrics={}, drop={}, agreement=None, changed=None)]
    write([result(rows=rows, base={}, objective="", samples=0, mode="dry_run")], tmp_path)
    assert "20,880" in write_report(tmp_path)
    assert files(tmp_path) == ["report.html", "result.json", "results.csv"]


@pytest.mark.usefixtures("_sketched")
def test_what_is_written_is_no_result_for_the_next_report(folder: Path) -> None:
    make_report(folder)
    assert len(make_report(folder.parent).summary.results) == 25


def test_an_unknown_metric_writes_nothing(folder: Path) -> None:
    with pytest.raises(CallError, match="no result has the metric `los`") as caught:
        make_report(folder, metric="los")
    assert caught.value.problems[0].candidates == ("loss",)
    assert files(folder) == []


def test_a_folder_without_results_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"no result\.json") as caught:
        make_report(tmp_path)
    assert "mutspec run" in caught.value.problems[0].hint
    (tmp_path / "0" / ".hydra").mkdir(parents=True)
    with pytest.raises(CallError, match=r"no result\.json") as caught:
        make_report(tmp_path)
    assert "1 job there left none" in caught.value.problems[0].hint


def test_a_folder_in_which_all_is_damaged_is_an_error_that_names_each_file(tmp_path: Path) -> None:
    for job in ("0", "1"):
        (tmp_path / job).mkdir()
        (tmp_path / job / "result.json").write_text("{")
    with pytest.raises(CallError) as caught:
        make_report(tmp_path)
    assert [problem.is_warning for problem in caught.value.problems] == [False, False]
    assert files(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error_with_those_that_are_like_it(folder: Path) -> None:
    with pytest.raises(CallError, match="does not exist") as caught:
        make_report(folder.parent / "dense_nose")
    assert caught.value.problems[0].candidates == (str(folder),)


def test_a_file_instead_of_a_folder_is_an_error(folder: Path) -> None:
    with pytest.raises(CallError, match="is a file") as caught:
        make_report(folder / "3" / "result.json")
    assert caught.value.problems[0].hint == f"name its folder: {folder / '3'}"
    with pytest.raises(CallError, match=r"the output .* is a file"):
        make_report(folder, output=folder / "3" / "result.json")


@pytest.mark.usefixtures("_sketched")
def test_a_folder_that_cannot_be_written_is_the_environments_fault(folder: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"cannot write .*results\.csv") as caught:
        make_report(folder, output=folder / "3" / "result.json" / "below")
    assert "-o DIR" in caught.value.problems[0].hint
