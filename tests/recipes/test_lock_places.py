"""Where locks and their files are: what is written can be verified later, and no lock leads out of its folders."""

from __future__ import annotations

import os
import shlex
import threading
from pathlib import Path

import pytest

from mutspec.recipes.lock_file import read_lock
from tests.cli.conftest import called

SECRET = "a line that nobody may see"


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above `recipes`, which has a folder `locks` too. `recipes/noise.yaml` needs one model only."""
    (folder / "noise.yaml").write_text("mutspec: 1\nsteps: [{op: negate, target: {weights: bias}}]\n")
    (folder.parent / "locks").mkdir()
    (folder / "plan.lock.yaml").unlink()
    monkeypatch.chdir(folder.parent)
    return folder.parent


LOCKS = {
    "beside the plan": ("recipes/noise.lock.yaml", "mutspec lock noise.yaml model.keras"),
    "in another folder": (
        "locks/n.lock.yaml",
        "mutspec lock recipes/noise.yaml recipes/model.keras -o locks/n.lock.yaml",
    ),
    "above": ("n.lock.yaml", "mutspec lock recipes/noise.yaml recipes/model.keras -o n.lock.yaml"),
}


@pytest.mark.parametrize("where", LOCKS)
def test_a_lock_says_a_call_that_makes_it_again(where: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, call = LOCKS[where]
    lock = place / name
    assert called("lock", "recipes/noise.yaml", "recipes/model.keras", "-o", name, "-q").code == 0
    text = lock.read_text()
    assert text.splitlines()[0] == f"# Made by: {call}"
    assert called("verify", name, "-q").code == 0
    monkeypatch.chdir(place / "recipes" if where == "beside the plan" else place)
    assert called(*shlex.split(call)[1:], "--force", "-q").code == 0
    assert lock.read_text() == text


def test_a_plan_to_which_the_lock_could_not_lead_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "locks")
    refused = called("lock", "../recipes/noise.yaml", "../recipes/model.keras", "-o", "n.lock.yaml")
    assert (refused.code, list((place / "locks").iterdir())) == (2, [])
    assert "outside of its folder and of the current one" in refused.err
    assert "-o ../recipes/n.lock.yaml" in refused.err
    call = ["../recipes/noise.yaml", "../recipes/model.keras", "-o", "../recipes/n.lock.yaml", "-q"]
    assert called("lock", *call).code == 0
    assert called("verify", "../recipes/n.lock.yaml").code == 0


def test_a_lock_in_a_linked_folder_leads_where_its_files_are(place: Path) -> None:
    (place / "deep" / "er").mkdir(parents=True)
    (place / "link").symlink_to("deep/er")
    assert called("lock", "recipes/noise.yaml", "recipes/model.keras", "-o", "link/n.lock.yaml", "-q").code == 0
    assert read_lock(place / "link/n.lock.yaml").lock.plan.file == "../../recipes/noise.yaml"
    assert called("verify", "link/n.lock.yaml", "-q").code == 0
    assert called("verify", "deep/er/n.lock.yaml", "-q").code == 0


@pytest.mark.parametrize("what", ["noise.yaml", "model.keras"])
def test_a_link_out_of_the_folders_of_a_lock_is_not_followed(
    what: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place / "recipes")
    assert called("lock", "noise.yaml", "model.keras", "-q").code == 0
    (place / "secret.txt").write_text(SECRET)
    Path(what).rename(place / "moved")
    Path(what).symlink_to("../secret.txt" if what == "noise.yaml" else "../moved")
    for call in (["verify", "noise.lock.yaml"], ["lock", "--check"], ["lock", "--update"]):
        result = called(*call)
        assert (result.code, SECRET in result.err + result.out) == (2, False), result
        assert "outside of its folder" in result.err
    Path("renamed.keras").symlink_to("../moved")  # nor is it found by its fingerprint
    if what == "model.keras":
        assert "--model MODEL" in result.err
        Path(what).unlink()
        assert "is missing" in called("verify", "noise.lock.yaml").err
        assert called("verify", "noise.lock.yaml", "--model", "renamed.keras", "-q").code == 0


def test_the_lock_of_a_plan_with_another_suffix_is_not_that_of_this_plan(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place / "recipes")
    Path("noise.resnet.yml").write_bytes(Path("noise.yaml").read_bytes())
    for plan in ("noise.yaml", "noise.resnet.yml"):
        assert called("lock", plan, "model.keras", "-q").code == 0
    applied = called("apply", "noise.yaml", "model.keras", "-o", "out.keras", "--locked", "-q")
    assert (applied.code, applied.err) == (0, "")
    assert called("verify", "noise.yaml").out.count("replayed") == 1


PIPES = {
    "lock": "noise.lock.yaml",
    "plan": "noise.yaml",
    "model": "model.keras",
    "a model that is looked at": "a.keras",
}


@pytest.mark.parametrize("what", PIPES)
def test_a_pipe_that_never_ends_is_not_read(what: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "recipes")
    assert called("lock", "noise.yaml", "model.keras", "-q").code == 0
    pipe = Path(PIPES[what])
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    if what.startswith("a model"):
        Path("model.keras").unlink()
    for call in (["lock", "--check", "."], ["verify", "noise.lock.yaml"], ["lock", "--update"]):
        process = threading.Timer(10, lambda: os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK)))
        process.start()  # ends the pipe, so that a failure does not hang
        result = called(*call)
        process.cancel()
        assert (result.code, "Traceback" in result.err) == (2, False)
        assert "not a file" in result.err or "is missing" in result.err
