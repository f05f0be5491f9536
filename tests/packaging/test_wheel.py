"""What a user gets from `pip install`: a wheel is built, put into a clean environment, and used from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import h5py
import numpy as np
import pytest

from mutspec.resources import resource_folder
from tests import guide

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installed:
    """A wheel, and a fresh environment with it."""

    wheel: Path
    scripts: Path
    elsewhere: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, from a folder that has nothing to do with the checkout."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.scripts / program), *arguments]
        return subprocess.run(command, cwd=self.elsewhere, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it alone; its dependencies are borrowed from this environment by a path file."""
    folder = tmp_path_factory.mktemp("wheel")
    home = folder / "environment"

    def call(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, check=True, capture_output=True)

    call("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT))
    (wheel,) = folder.glob("*.whl")
    call("-m", "venv", "--without-pip", str(home))
    scheme = {"base": str(home), "platbase": str(home)}
    scripts = Path(sysconfig.get_path("scripts", "venv", vars=scheme))
    call("-m", "pip", "--python", str(scripts / "python"), "install", "--no-deps", "--no-index", str(wheel))
    # A plain path in a path file does not make Python read the path files over there: an editable mutspec stays unseen.
    own_packages = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (own_packages / "borrowed.pth").write_text(f"{Path(h5py.__file__).parents[1]}\n")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(wheel, scripts, elsewhere)


def shipped_files(folder: str) -> set[str]:
    """The files of a top-level folder of the checkout, as they should lie in the wheel."""
    files = (path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"mutspec/{path.relative_to(CHECKOUT).as_posix()}" for path in files}


@pytest.mark.parametrize("folder", ["conf", "schemas"])
def test_the_wheel_holds_every_file_of_a_shipped_folder(installed: Installed, folder: str) -> None:
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if name.startswith(f"mutspec/{folder}/")}
    assert names
    assert names == shipped_files(folder)


def test_the_wheel_holds_every_file_of_a_new_recipe_repository(installed: Installed) -> None:
    """Also those whose names begin with a dot."""
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if "/scaffold/files/" in name}
    folder = CHECKOUT / "mutspec" / "recipes" / "scaffold" / "files"
    assert names == {path.relative_to(CHECKOUT).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {".gitignore", ".gitattributes", ".pre-commit-config.yaml"} <= {name.split("/")[-1] for name in names}


def test_the_wheel_is_typed_and_holds_only_the_package(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert "mutspec/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mutspec"}


def test_the_wheel_holds_the_style_and_the_script_of_reports(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {"mutspec/experiment/reports/page/page.css", "mutspec/experiment/reports/page/page.js"} <= set(names)


def test_a_plain_install_does_not_ask_for_tensorflow(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        requirements = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist") or []
    core = [requirement for requirement in requirements if "extra ==" not in requirement]
    assert any(requirement.startswith("numpy") for requirement in core)
    assert not any(requirement.startswith(("tensorflow", "keras")) for requirement in core)


@pytest.mark.parametrize("folder", ["conf", "schemas"])
def test_an_installed_mutspec_finds_its_folders_from_anywhere(installed: Installed, folder: str) -> None:
    code = f"from mutspec.resources import resource_folder; print(resource_folder({folder!r}))"
    result = installed.run("python", "-c", code)
    assert result.returncode == 0, result.stderr
    found = Path(result.stdout.strip())
    assert installed.wheel.parent in found.parents
    assert {f"mutspec/{folder}/{path.name}" for path in found.iterdir() if path.is_file()} <= shipped_files(folder)


@pytest.mark.parametrize("folder", ["conf", "schemas"])
def test_a_checkout_uses_the_folders_at_its_top_level(folder: str) -> None:
    assert resource_folder(folder) == CHECKOUT / folder  # type: ignore[arg-type]


def test_the_installed_command_validates_a_shipped_recipe_against_the_shipped_model(installed: Installed) -> None:
    help_page = installed.run("mutspec", "--help")
    assert help_page.returncode == 0, help_page.stderr
    assert "validate" in help_page.stdout
    conf = installed.run("python", "-c", "from mutspec.resources import resource_folder as f; print(f('conf'))")
    folder = Path(conf.stdout.strip())
    recipe, model = folder / "plan" / "dense_noise.yaml", folder / "model" / "digits.keras"
    result = installed.run("mutspec", "validate", str(recipe), "--model", str(model))
    assert result.returncode == 0, result.stdout + result.stderr


# A package with ops of its own, from the text of docs/writing-an-op.md.

OPS_OF_THE_GUIDE = {"damp", "center_neurons", "repeat_layer"}


@pytest.fixture(scope="module")
def with_ops_of_the_guide(installed: Installed) -> Installed:
    """The environment with the guide's package in it, as pip builds and installs it."""
    project = installed.elsewhere / "guide"
    guide.write_package(project)
    pip = ["-m", "pip", "--python", str(installed.scripts / "python"), "install", "--no-deps", "--no-index"]
    command = [sys.executable, *pip, "--no-build-isolation", "--no-compile", str(project)]
    subprocess.run(command, check=True, capture_output=True)
    (installed.elsewhere / "plan.yaml").write_text(guide.plan())
    return installed


def test_the_guides_package_installs_and_its_ops_are_listed_under_its_name(with_ops_of_the_guide: Installed) -> None:
    listed = with_ops_of_the_guide.run("mutspec", "ops", "--json")
    assert listed.returncode == 0, listed.stderr
    families = {op["name"]: op["family"] for op in json.loads(listed.stdout)["ops"]}
    assert {name for name, family in families.items() if family == "dead_zone"} == OPS_OF_THE_GUIDE


def test_the_guides_plan_is_valid_and_makes_the_mutant_that_its_dry_run_announces(
    with_ops_of_the_guide: Installed,
) -> None:
    model, mutant = CHECKOUT / "conf" / "model" / "digits.keras", with_ops_of_the_guide.elsewhere / "mutant.keras"
    validated = with_ops_of_the_guide.run("mutspec", "validate", "plan.yaml", "--model", str(model))
    assert validated.returncode == 0, validated.stderr
    documents = []
    for more in (["--dry-run"], ["-o", str(mutant)]):
        applied = with_ops_of_the_guide.run("mutspec", "apply", "plan.yaml", str(model), "--json", *more)
        assert applied.returncode == 0, applied.stderr
        documents.append(json.loads(applied.stdout))
    announced, done = (
        [[(each["weight"], each["touched"]) for each in step["targets"]] for step in document["steps"]]
        for document in documents
    )
    assert announced == done
    assert [layer["layer"] for layer in documents[1]["layers"]["added"]] == ["repeat_layer"]

    before, after = weights(model), weights(mutant)
    centred = [np.abs(each["layers/dense_1/vars/0"].mean(axis=0, dtype=np.float64)) < 1e-7 for each in (before, after)]
    assert [int(each.sum()) for each in centred] == [0, 4]
    for number in range(4):
        own, repeated = (after[f"layers/batch_normalization{name}/vars/{number}"] for name in ("", "_1"))
        np.testing.assert_array_equal(repeated, own)
        np.testing.assert_array_equal(own, before[f"layers/batch_normalization/vars/{number}"])


def weights(model: Path) -> dict[str, np.ndarray]:
    """Every stored array by its path, by h5py alone."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(model) as file, file.open("model.weights.h5") as member, h5py.File(member, "r") as stored:

        def keep(path: str, each: object) -> None:
            if isinstance(each, h5py.Dataset):
                found[path] = each[...]

        stored.visititems(keep)
    return found
