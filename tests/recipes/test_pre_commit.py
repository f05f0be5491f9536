"""The hooks of this repository, installed and run by the real pre-commit from a clone of it.

pre-commit builds an environment with all dependencies, which takes minutes and needs a package index. So this runs on
demand only: `MUTSPEC_PRE_COMMIT=1 pytest tests/recipes/test_pre_commit.py`. It tests what is committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutspec.recipes.scaffold import make_repository

ROOT = Path(__file__).parents[2]
HOOKS = ("mutspec-validate", "mutspec-lock", "mutspec-test")
RETRAINED = "mutspec: 1\nsteps: [{op: fill, target: dense_1/bias, value: 0.5}]\n"


@pytest.mark.skipif(not os.environ.get("MUTSPEC_PRE_COMMIT"), reason="on demand: MUTSPEC_PRE_COMMIT=1")
def test_the_hooks_pass_a_new_repository_and_refuse_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "tools"], check=True)
    programs = tmp_path / "tools" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", "pre-commit"], check=True)
    own = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own |= {"PRE_COMMIT_HOME": str(tmp_path / "cache"), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | own

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    revision = call("git", "-C", str(ROOT), "rev-parse", "HEAD").stdout.strip()
    hooks = "".join(f"      - id: {hook}\n" for hook in HOOKS)
    make_repository(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    Path(".pre-commit-config.yaml").write_text(f"repos:\n  - repo: {ROOT}\n    rev: {revision}\n    hooks:\n{hooks}")
    for command in (["git", "init", "--quiet"], ["git", "add", "."], ["pre-commit", "install"]):
        assert call(*command).returncode == 0
    passed = call("git", "commit", "--message", "all is well")
    assert passed.returncode == 0, passed.stderr
    assert passed.stderr.count("Passed") == len(HOOKS)

    recipe = Path("recipes/jitter.yaml")
    recipe.write_text(recipe.read_text().replace("gaussian_noise", "gausian_noise"))
    misspelt = call("git", "commit", "--all", "--message", "a slip of the pen")
    assert misspelt.returncode == 1
    assert "recipes/jitter.yaml:9:9: there is no op `gausian_noise`" in misspelt.stderr
    assert call("git", "checkout", "HEAD", "recipes").returncode == 0

    (tmp_path / "plan.yaml").write_text(RETRAINED)
    model = Path("models/digits.keras")
    mutspec = [sys.executable, "-m", "mutspec", "apply", str(tmp_path / "plan.yaml"), str(model), "-o", "new.keras"]
    subprocess.run(mutspec, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    Path("new.keras").replace(model)
    retrained = call("git", "commit", "--all", "--message", "train again")
    assert retrained.returncode == 1
    assert "`dense_1/bias`" in retrained.stderr
