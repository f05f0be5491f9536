"""docs/tutorial.md: its commands are run in their order, with the files that it makes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code in a language, as the page has it."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_of_the_tutorial_run(mutspec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (script,), (plan,) = blocks("python"), blocks("yaml")
    exec(compile(script, "tutorial.md", "exec"), {})
    Path("jitter.yaml").write_text(plan, encoding="utf-8")
    for block in blocks("console"):
        command, _, shown = block.replace("seeds=20", "seeds=4").partition("\n")  # the same page, sooner
        called = mutspec(*shlex.split(command.removeprefix("$ mutspec ")))
        allowed = {0, 1} if "require=" in command else {0}  # another machine's training may pass the gate
        assert called.code in allowed, called.err
        assert shapes(shown) <= shapes(called.out), command


def shapes(text: str) -> set[str]:
    """The lines of a page, but for what depends on the training: numbers, names in their order, gates."""
    lines = (re.sub(r"\s+", " ", re.sub(r"-?[\d.,]+", "0", line)).strip() for line in text.splitlines())
    return {line for line in lines if line not in ("…", "") and not line.startswith(("0 ", "FAILED"))}
