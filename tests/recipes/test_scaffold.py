"""`mutspec init`: what it makes works, it replaces nothing, and it writes all files or none."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from mutspec.recipes.scaffold import content, make_repository, repository
from mutspec.version import __version__
from tests.cli.conftest import called

ROOT = Path(__file__).parents[2]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that nobody changes."""
    folder = tmp_path_factory.mktemp("init") / "recipes-of-vision"
    make_repository(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_lists_what_it_made_and_what_to_do_next(place: Path) -> None:
    result = called("init", "my recipes", "--name", "Vision *and* sound")
    assert (result.code, result.err) == (0, "")
    listed, following = result.out.split("\n\n")
    assert listed.splitlines()[1:] == [f"  {path}" for path in sorted(files_of(place / "my recipes"))]
    assert following.splitlines()[1] == "  cd 'my recipes'"
    assert (place / "my recipes" / "README.md").read_text().startswith("# Vision \\*and\\* sound\n")
    assert os.listdir(place) == ["my recipes"]
    assert called("init", "other", "--quiet").out == ""


def test_nothing_is_left_to_fill_in_and_every_file_that_is_named_is_there(made: Path) -> None:
    for path, text in files_of(made).items():
        assert not re.search(rb"@[A-Z]+@", text), path
    readme = (made / "README.md").read_text()
    for path in re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE):
        assert (made / path).exists(), path
    for path in files_of(made):
        assert path in readme or path.startswith("schemas/") or path in (".gitignore", "README.md"), path


def test_every_command_of_its_files_exists_with_its_options(made: Path) -> None:
    from mutspec.cli.main import COMMANDS

    texts = [made / "README.md", made / ".github/workflows/recipes.yml", made / ".pre-commit-config.yaml"]
    calls = {call for path in texts for call in re.findall(r"mutspec ([a-z]+)[ `]", path.read_text())}
    assert {"validate", "apply", "lock", "verify", "test", "run", "inspect", "schema", "init"} <= calls
    assert [call for call in calls if call not in COMMANDS] == []


def test_the_first_line_of_a_recipe_leads_an_editor_to_the_schema_with_the_ops_that_are_installed(made: Path) -> None:
    for path in (made / "recipes").glob("*.yaml"):
        schema = re.search(r"^# yaml-language-server: \$schema=(.*)$", path.read_text(), re.MULTILINE)
        assert schema
        assert (path.parent / schema[1]).is_file(), path
    plan = json.loads((made / "schemas/plan.schema.json").read_text())
    assert plan == json.loads(called("schema").out)


def test_its_hooks_are_those_that_mutspec_offers(made: Path) -> None:
    (local,) = yaml.safe_load((made / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["id"] for hook in local["hooks"]] == [hook["id"] for hook in HOOKS]
    for own, offered in zip(local["hooks"], HOOKS, strict=True):
        shared = ("name", "entry", "exclude", "pass_filenames")
        assert {key: own.get(key) for key in shared} == {key: offered.get(key) for key in shared}
        for path in ("recipes/jitter.yaml", "recipes/jitter.test.yaml", "models/digits.keras", "README.md"):
            assert is_for(own, path) == is_for(offered, path), path


def is_for(hook: dict[str, Any], path: str) -> bool:
    """Whether pre-commit runs a hook for a path."""
    return bool(re.search(hook["files"], path)) and not re.search(hook.get("exclude", "^$"), path)


@pytest.mark.parametrize(
    ("path", "hooks"),
    {
        "recipes/a.yaml": {"validate", "lock", "test"},
        "conf/plan/noise/a.yml": {"validate", "lock", "test"},
        "recipes/a.lock.yaml": {"lock", "test"},
        "recipes/a.test.yaml": {"lock", "test"},
        "models/a.keras": {"lock", "test"},
        "a.safetensors": {"lock", "test"},
        ".github/workflows/recipes.yml": set(),
        "recipes/README.md": set(),
        "old_recipes/a.yaml": set(),
    }.items(),
)
def test_a_hook_runs_for_the_files_that_it_reads(path: str, hooks: set[str]) -> None:
    assert {hook["id"].removeprefix("mutspec-") for hook in HOOKS if is_for(hook, path)} == hooks


def test_its_sweep_composes(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(made)
    result = called(
        "run", "-m", "--config-dir", ".", "experiment=jitter", "mode=dry_run", f"hydra.sweep.dir={tmp_path / 'sweep'}"
    )
    assert result.code == 0, result.err
    assert "5 jobs, 5 values of std, 3 seeds each" in result.out


def test_a_folder_with_other_files_keeps_them_and_one_with_the_same_files_is_refused(place: Path) -> None:
    (place / "recipes").mkdir()
    (place / "recipes" / "mine.yaml").write_text("mine")
    assert called("init", ".").code == 0
    before = files_of(place)
    assert before["recipes/mine.yaml"] == b"mine"
    (place / "README.md").unlink()
    again = called("init", ".")
    assert again.code == 2
    assert "already has what a new repository begins with: `.gitattributes`, " in again.err
    assert "README.md" not in again.err
    assert files_of(place) == {path: text for path, text in before.items() if path != "README.md"}


WRONG = {
    "a file": (["init", "file"], "file exists, and is not a folder"),
    "a file in the way": (["init", "blocked"], "already has what a new repository begins with: `recipes`"),
    "no folder": (["init", "none/deep"], "mkdir -p none"),
    "no name": (["init", "/"], "--name"),
    "a name in two lines": (["init", "new", "--name", "a\nb"], "is not a name"),
    "an empty folder": (["init", ""], "DIR is empty"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_call_says_what_would_be_right_and_writes_nothing(
    arguments: list[str], words: str, place: Path
) -> None:
    (place / "file").write_text("")
    (place / "blocked").mkdir()
    (place / "blocked" / "recipes").symlink_to("nowhere")
    result = called(*arguments)
    assert result.code == 2
    assert words in result.err
    assert sorted(os.listdir(place)) == ["blocked", "file"]
    assert os.listdir(place / "blocked") == ["recipes"]


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("at", "exists"), [("write_bytes", False), ("write_bytes", True), ("_give_name", True)])
@pytest.mark.parametrize(("error", "code"), [(FULL, 3), (None, 130)], ids=["full", "interrupted"])
def test_a_full_disk_or_an_interrupt_leaves_the_folder_as_it_was(
    at: str, exists: bool, error: OSError | None, code: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner: Any = Path if at == "write_bytes" else repository
    usual, calls = getattr(owner, at), []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            raise error or KeyboardInterrupt
        return usual(*arguments)

    if exists:
        (place / "new").mkdir()
        (place / "new" / "own.txt").write_text("own")
    monkeypatch.setattr(owner, at, failing)
    result = called("init", "new")
    assert result.code == code, result.err
    assert "was written" not in result.err.replace("nothing was written", "")
    assert os.listdir(place) == (["new"] if exists else [])
    assert not exists or os.listdir(place / "new") == ["own.txt"]


def test_a_file_that_comes_to_exist_in_the_meantime_is_not_replaced(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = repository._write

    def write(staging: Path, made: Any) -> None:
        usual(staging, made)
        (place / "README.md").write_text("somebody else's")

    monkeypatch.setattr(repository, "_write", write)
    result = called("init", ".", "--name", "late")
    assert result.code == 2
    assert "README.md has come to exist" in result.err
    assert files_of(place) == {"README.md": b"somebody else's"}


class _Distribution:
    def __init__(self, origin: object) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


GIT = {"vcs": "git", "commit_id": "4f1c"}
ORIGINS: list[tuple[object, str]] = [
    (None, f"mutspec=={__version__}"),
    ({"url": "file:///home/me/mutspec", "dir_info": {"editable": True}}, f"mutspec=={__version__}"),
    ({"url": "file:///home/me/mutspec", "vcs_info": GIT}, f"mutspec=={__version__}"),
    ({"url": "https://example.org/mutspec.git", "vcs_info": GIT}, "mutspec @ git+https://example.org/mutspec.git@4f1c"),
]


@pytest.mark.parametrize(("origin", "line"), ORIGINS)
def test_the_requirement_is_the_mutspec_that_made_it(
    origin: object, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "distribution", lambda name: _Distribution(origin))
    assert content.requirement() == line


def test_the_commands_of_its_readme_work_one_after_the_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but those for git, pip and pre-commit, and the sweep, which needs Keras."""
    make_repository(place / "mine")
    monkeypatch.chdir("mine")
    blocks = re.findall(r"```bash\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    shutil.copy("recipes/jitter.yaml", "recipes/NAME.yaml")
    names = []
    for line in "".join(blocks).splitlines():
        call, _, target = line.partition(" > ")
        program, *arguments = shlex.split(call, comments=True)
        if program != "mutspec" or arguments[0] == "run":
            continue
        named = [sorted(map(str, Path().glob(each))) if "*" in each else [each] for each in arguments]
        result = called(*(each for group in named for each in group))
        assert result.code == 0, (line, result.err)
        assert not target or result.out == Path(target).read_text(), line
        names.append(arguments[0])
    assert names == ["validate", "apply", "apply", "test", "lock", "lock", "lock", "verify", "schema"]
