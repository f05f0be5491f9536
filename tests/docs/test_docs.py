"""The README and the pages show what really happens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_recipe_in_the_readme_is_the_one_that_ships() -> None:
    recipe = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert recipe
    assert recipe[1] == (ROOT / "conf" / "plan" / "kernel_faults.yaml").read_text()


def test_the_dry_run_in_the_readme_is_what_is_printed() -> None:
    shown = re.search(r"```console\n\$ mutspec (.*?)\n(.*?)```", README, re.DOTALL)
    assert shown
    call = [sys.executable, "-m", "mutspec", *shown[1].split()]
    printed = subprocess.run(
        call, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "100"}
    )
    assert printed.stdout == shown[2]


def test_the_python_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "README.md", "exec"), {})
    assert "dense_1/kernel" in capsys.readouterr().out
    assert (tmp_path / "mutant.keras").is_file()


def test_the_readme_shows_what_a_pruning_step_does() -> None:
    import mutspec
    from tests.cookbook import with_residual

    shown = re.search(r"`{(op: remove_neurons.*?)}`.*?```text\n(.*?)```", README, re.DOTALL)
    assert shown
    plan = mutspec.plan({"steps": [{"op": "remove_neurons", "target": "conv_2", "indices": [6]}]})
    assert shown[1] == "op: remove_neurons, target: conv_2, indices: [6]"
    lines = str(mutspec.dry_run(plan, with_residual())).splitlines()
    assert [line for line in shown[2].splitlines() if line not in lines] == []


def test_the_readme_counts_the_operators() -> None:
    from mutspec.ops import catalogue

    assert f"There are {len(catalogue(plugins=False))}, with" in README


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), link


def test_the_page_on_limits_has_every_limit_with_its_value_and_reason() -> None:
    from mutspec.model.limits import table

    page = (ROOT / "docs" / "limits.md").read_text()
    for row in table().values():
        number = f"{row.default // 2**20} MiB" if row.unit == "bytes" else f"{row.default:,} {row.unit}"
        assert f"| `{row.name}` | {number} | {row.of} | {row.why} |" in page


def test_the_page_for_teams_quotes_the_workflow_that_init_writes_and_names_every_hook() -> None:
    page = (ROOT / "docs" / "teams.md").read_text()
    path = re.search(r"\[`.github/workflows/recipes.yml`\]\(\.\./(.*)\)", page)
    assert path
    assert f"```yaml\n{(ROOT / path[1]).read_text()}```" in page
    for hook in re.findall(r"^- id: (.*)$", (ROOT / ".pre-commit-hooks.yaml").read_text(), re.MULTILINE):
        assert f"- id: {hook}\n" in page
        assert f"| `{hook}` |" in page
    attributes = (ROOT / path[1]).parents[2] / ".gitattributes"
    assert re.search(r"```text\n(.*?)```", page, re.DOTALL)[1] in attributes.read_text()  # type: ignore[index]


def test_every_file_of_make_quick_exists() -> None:
    quick = (ROOT / "tests" / "quick.txt").read_text().splitlines()
    assert [each for each in quick if not (ROOT / each).is_file()] == []


CLUSTERS = re.findall(r"mutspec run -m ((?:.*\\\n)*.*)", (ROOT / "docs" / "clusters.md").read_text())


@pytest.mark.parametrize("call", CLUSTERS, ids=range(len(CLUSTERS)))
def test_the_calls_on_the_page_on_clusters_have_settings_that_there_are(call: str) -> None:
    from hydra.types import RunMode

    from mutspec.experiment.jobs.application import ApplicationCall, _application

    overrides = tuple(shlex.split(call.replace("\\\n", " ")))
    for package in ("joblib", "submitit", "ray", "optuna"):
        if package in call:
            pytest.importorskip(package)
    with _application(ApplicationCall(overrides, is_sweep=True), checks=False) as application:
        given = [*application.overrides, "hydra.mode=MULTIRUN"]
        config = application.hydra.compose_config("config", given, RunMode.MULTIRUN)
    assert config.hydra.runtime.choices["hydra/launcher"] in ("joblib", "submitit_slurm", "ray")


@pytest.mark.parametrize("page", ["README.md", "docs/language.md", "docs/architecture.md", "docs/teams.md"])
def test_no_page_names_a_command_that_does_not_exist(page: str) -> None:
    from mutspec.cli.main import COMMANDS

    for command in re.findall(r"`mutspec ([a-z]+)", (ROOT / page).read_text()):
        assert command in COMMANDS, command


def test_the_page_of_operators_is_in_step_with_them() -> None:
    from mutspec.cli.manual import as_markdown, manual
    from mutspec.ops import catalogue

    page = as_markdown([manual(name, kind) for name, kind in catalogue(plugins=False).items()])
    assert (ROOT / "docs" / "ops.md").read_text() == page + "\n", "run: mutspec ops --markdown > docs/ops.md"
