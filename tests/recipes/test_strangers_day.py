"""A stranger's day with a recipe repository, from `mutspec init` to a pull request, with real git.

What CI runs is taken from the workflow that the repository has, and not written down again here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest
import yaml

from tests.cli.conftest import Result, called

ROOT = Path(__file__).parents[2]
RECIPE, LOCK, MODEL = Path("recipes/jitter.yaml"), Path("recipes/jitter.lock.yaml"), Path("models/digits.keras")
RETRAINED = "mutspec: 1\nsteps: [{op: fill, target: dense_1/bias, value: 0.5}]\n"

Git = Callable[..., str]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """That of processes: `mutspec` is on the path, and git knows no settings but those of the repository."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "mutspec").write_text(f"#!{sys.executable}\nfrom mutspec.cli import main\nmain()\n")
    (programs / "mutspec").chmod(0o755)
    monkeypatch.setenv("COLUMNS", "100")
    own = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PYTHONPATH": str(ROOT)}
    return {**os.environ, **own, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def git(environment: dict[str, str]) -> Git:
    """Calls git in the current folder, and returns what it printed."""

    def call(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    return call


def steps_of(job: str) -> list[dict[str, str]]:
    """The steps of a job of the workflow that run commands, without those that install or talk to GitHub."""
    workflow = yaml.safe_load(Path(".github/workflows/recipes.yml").read_text())
    steps = [step for step in workflow["jobs"][job]["steps"] if "run" in step]
    return [step for step in steps if not step["run"].startswith(("pip install", "gh "))]


def checks() -> dict[str, Result]:
    """What the checks of a pull request say, by the command. All run, even after one failed, as the workflow says."""
    found = {}
    for step in steps_of("check"):
        for line in step["run"].splitlines():
            program, *arguments = shlex.split(line)
            if program == "mkdir":
                Path(arguments[-1]).mkdir(exist_ok=True)
                continue
            assert program == "mutspec"
            named = [sorted(map(str, Path().glob(each))) if "*" in each else [each] for each in arguments]
            found[arguments[0]] = called(*(each for group in named for each in group))
    assert list(found) == ["validate", "lock", "test"]
    return found


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


@pytest.mark.skipif(which("git") is None, reason="there is no git")
def test_a_strangers_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], git: Git
) -> None:
    monkeypatch.chdir(tmp_path)
    assert called("init", "mine").code == 0
    monkeypatch.chdir("mine")
    git("init", "--quiet")
    (told,) = re.findall(r"git (config .*)", Path(".gitattributes").read_text())
    git(*shlex.split(told))
    git("add", ".")
    git("commit", "--quiet", "--message", "what mutspec init made")
    base = git("rev-parse", "HEAD").strip()
    assert {name: result.code for name, result in checks().items()} == {"validate": 0, "lock": 0, "test": 0}

    # An edit with a slip of the pen: the message says where, and what was meant.
    edit(RECIPE, "params: {std: 0.1}", "params: {std: 0.12}")
    edit(RECIPE, "op: gaussian_noise", "op: gausian_noise")
    refused = called("validate", "--strict", str(RECIPE))
    assert refused.code == 2
    assert re.search(r"recipes/jitter\.yaml:9:9: .*gausian_noise", refused.err)
    assert "did you mean `gaussian_noise`" in refused.err
    annotated = checks()["validate"]
    assert annotated.code == 2
    assert "::error file=recipes/jitter.yaml,line=9," in annotated.out + annotated.err

    # Repaired: the recipe is right, but it is not what was locked.
    edit(RECIPE, "op: gausian_noise", "op: gaussian_noise")
    found = checks()
    assert {name: result.code for name, result in found.items()} == {"validate": 0, "lock": 1, "test": 0}
    assert re.search(r"std.*0\.12", found["lock"].out + found["lock"].err)
    updated = called("lock", "--update")
    assert updated.code == 0, updated.err
    assert re.search(r"^-\s+std: 0\.1$", updated.out, re.MULTILINE)
    assert re.search(r"^\+\s+std: 0\.12$", updated.out, re.MULTILINE)
    assert {result.code for result in checks().values()} == {0}
    git("commit", "--quiet", "--all", "--message", "a little more noise")

    # Somebody trains the model again, and forgets the lock: CI refuses, and names the weight.
    Path("trained.yaml").write_text(RETRAINED)
    assert called("apply", "trained.yaml", str(MODEL), "-o", "trained.keras").code == 0
    Path("trained.keras").replace(MODEL)
    Path("trained.yaml").unlink()
    git("commit", "--quiet", "--all", "--message", "train again")
    found = checks()
    assert {name: result.code for name, result in found.items()} == {"validate": 0, "lock": 1, "test": 0}
    said = found["lock"].out + found["lock"].err
    assert "dense_1/bias" in said
    assert "dense_1/kernel" not in said

    # With the lock brought up to date all is well, and the pull request shows what changed.
    assert called("lock", "--update").code == 0
    assert {result.code for result in checks().values()} == {0}
    git("commit", "--quiet", "--all", "--message", "lock the new model")
    (write,) = steps_of("comment")
    told_by_github = {**environment, **write["env"], "BASE": base}
    subprocess.run(["bash", "-e", "-c", write["run"]], env=told_by_github, check=True, capture_output=True)
    comment = Path("build/comment.md").read_text()
    changed = re.findall(r"^([-+])  (\S+)  (.*)$", comment.partition("~~~~diff")[2].partition("~~~~")[0], re.MULTILINE)
    assert [(sign, path) for sign, path, _ in changed] == [("-", "dense_1/bias"), ("+", "dense_1/bias")]
    assert "20,880" in comment.partition("~~~~\n")[2]
    locked = git("diff", base, "--", str(LOCK))
    for sign, path, digest in changed:
        assert re.search(rf"^{re.escape(sign)}\s+{path}: {digest}$", locked, re.MULTILINE)
    assert git("status", "--porcelain") == ""
