"""`mutspec validate --strict` and `--fix`, as a user calls them."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import files_of_at_most
from tests.without_keras import BLOCKER

NOISE = "mutspec: 1\nsteps:\n  - op: gaussian_noise\n    target: re:dense.1\n    std: 0.1\n"
UNTIDY = "mutspec: 1\nseed: 0\nsteps:\n  - target: dense_1  # which\n    op: zero\n"
TIDY = "mutspec: 1\nseed: 0\nsteps:\n  - op: zero\n    target: dense_1  # which\n"


@pytest.fixture
def noise(room: Path) -> str:
    """A plan that breaks three rules."""
    (room / "noise.yaml").write_text(NOISE)
    return "noise.yaml"


@pytest.fixture
def untidy(room: Path) -> Path:
    """A plan with a step whose keys are not in order."""
    (room / "untidy.yaml").write_text(UNTIDY)
    return room / "untidy.yaml"


def test_findings_are_shown_with_places_and_rules(cli, noise, same_as) -> None:
    found = cli("validate", "--strict", noise, "kernel_faults.yaml", "--model", "model.keras")
    assert found.code == 1
    assert found.out == "kernel_faults.yaml: valid\n"
    same_as(found.err, "validate-strict")
    assert cli("validate", noise).code == 0


def test_the_page_shows_what_is_printed(cli, room) -> None:
    page = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")
    plan = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    shown = re.search(r"```console\n\$ mutspec (.*?)\n(.*?)```", page, re.DOTALL)
    assert plan
    assert shown
    (room / "plan.yaml").write_text(plan[1])
    printed = cli(*shown[1].split())
    assert (printed.code, printed.err) == (1, shown[2])


def test_an_invalid_plan_is_wrong_input_and_is_not_linted(cli, noise, room) -> None:
    (room / "bad.yaml").write_text("mutspec: 1\nsteps: [{op: zreo, target: 're:a.b'}]\n")
    found = cli("validate", "--strict", noise, "bad.yaml")
    assert found.code == 2
    assert "1 error and 3 findings in 2 of 2 plans" in found.err
    assert "a.b" not in found.err.replace("re:a.b", "")


def test_an_unknown_rule_is_an_error_without_strict_too(cli, room) -> None:
    (room / "plan.yaml").write_text(f"lint: {{allow: [mising-expect]}}\n{NOISE}")
    found = cli("validate", "plan.yaml")
    assert found.code == 2
    assert "plan.yaml:1:16: there is no lint rule `mising-expect`" in found.err
    assert "did you mean `missing-expect`?" in found.err


def test_an_allowed_warning_is_silent_everywhere(cli, room) -> None:
    head = "mutspec: 1\nparams: {spare: 1}\nseed: 1\n"
    step = "steps: [{op: zero, target: dense_1}]\n"
    (room / "plan.yaml").write_text(head + step)
    (room / "allowed.yaml").write_text(f"{head}lint: {{allow: [unused-parameter]}}\n{step}")
    for arguments in (["validate"], ["apply", "--dry-run"]):
        model = ["model.keras"] if arguments[0] == "apply" else []
        warned = cli(*arguments, "plan.yaml", *model)
        assert (warned.code, "[unused-parameter]" in warned.out + warned.err) == (0, True)
        silent = cli(*arguments, "allowed.yaml", *model)
        assert "unused" not in silent.out + silent.err


def test_documents_and_annotations_have_the_rule(cli, noise) -> None:
    document = json.loads(cli("validate", "--strict", noise, "--json").out)
    assert (document["valid"], document["clean"]) == (True, False)
    problems = [(each["severity"], each["rule"], each["line"]) for each in document["plans"][0]["problems"]]
    assert problems == [
        ("finding", "implied-seed", 3),
        ("finding", "missing-expect", 4),
        ("finding", "unescaped-dot", 4),
    ]
    lines = cli("validate", "--strict", noise, "--format", "github").out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("::error file=noise.yaml,line=4,col=13,endColumn=23,title=mutspec::a dot of `dense.1`")
    assert "[unescaped-dot]%0A" in lines[2]


def test_a_seed_in_the_call_is_a_stated_seed(cli, room) -> None:
    (room / "plan.yaml").write_text("mutspec: 1\nsteps: [{op: gaussian_noise, target: dense_1, std: 1}]\n")
    assert cli("validate", "--strict", "plan.yaml").code == 1
    assert cli("validate", "--strict", "plan.yaml", "--seed", "3").code == 0


def test_neither_keras_nor_numpy_is_needed(noise, room) -> None:
    call = ["validate", "--strict", "--fix", noise]
    code = f"{BLOCKER}\nfrom mutspec.cli import main\nsys.argv = {['mutspec', *call]!r}\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "3 findings in 1 of 1 plan" in done.stderr
    assert 'target: "re:dense.1"' in Path(noise).read_text()


def test_a_file_is_fixed_once_and_keeps_its_permissions(cli, untidy) -> None:
    untidy.chmod(0o640)
    link = untidy.with_name("link.yaml")
    link.symlink_to(untidy.name)
    first = cli("validate", "--fix", "link.yaml")
    assert (first.code, first.out) == (0, "link.yaml: valid\n")
    assert first.err == "link.yaml: fixed the order of keys in 1 mapping\n"
    assert untidy.read_text() == TIDY
    assert link.is_symlink()
    assert stat.S_IMODE(untidy.stat().st_mode) == 0o640
    written = untidy.stat().st_mtime_ns
    assert cli("validate", "--fix", "untidy.yaml").err == ""
    assert untidy.stat().st_mtime_ns == written


def test_a_preview_shows_the_changes_and_writes_nothing(cli, untidy) -> None:
    shown = cli("validate", "--fix", "--diff", "untidy.yaml")
    assert (shown.code, shown.err) == (1, "")
    assert shown.out == (
        "--- untidy.yaml\n+++ untidy.yaml\n@@ -1,5 +1,5 @@\n mutspec: 1\n seed: 0\n steps:\n"
        "-  - target: dense_1  # which\n-    op: zero\n+  - op: zero\n+    target: dense_1  # which\n"
    )
    annotated = cli("validate", "--fix", "--diff", "untidy.yaml", "--format", "github")
    assert annotated.out.startswith("::error file=untidy.yaml,title=mutspec::--fix would change the order of keys")
    document = json.loads(cli("validate", "--fix", "--diff", "untidy.yaml", "--json").out)
    assert document["plans"][0]["fixed"] == ["order of keys in 1 mapping"]
    assert untidy.read_text() == UNTIDY
    assert cli("validate", "--fix", "--diff", "kernel_faults.yaml").code == 0


def test_a_byte_order_mark_stays(cli, untidy) -> None:
    untidy.write_bytes(b"\xef\xbb\xbf" + UNTIDY.encode())
    assert cli("validate", "--fix", "untidy.yaml").code == 0
    assert untidy.read_bytes() == b"\xef\xbb\xbf" + TIDY.encode()


def test_an_invalid_plan_is_left_as_it_is(cli, untidy) -> None:
    untidy.write_text(UNTIDY.replace("zero", "zreo"))
    left = cli("validate", "--fix", "untidy.yaml")
    assert left.code == 2
    assert "did you mean `zero`?" in left.err
    assert "--fix does nothing to untidy.yaml, which is not valid as it is written" in left.err
    assert untidy.read_text() == UNTIDY.replace("zero", "zreo")


def test_a_plan_that_is_valid_only_with_overrides_is_left_and_named(cli, untidy) -> None:
    wrong = UNTIDY.replace("zero", "fill\n    value: much")
    untidy.write_text(wrong)
    left = cli("validate", "--fix", "untidy.yaml", "--set", "steps.fill.value=1")
    assert (left.code, "--fix does nothing to untidy.yaml" in left.err) == (0, True)
    assert untidy.read_text() == wrong
    assert cli("validate", "--fix", "untidy.yaml", "--set", "steps.fill.value=1", "-q").err == ""


def test_a_plan_that_uses_a_recipe_beside_it_or_in_a_folder_of_the_call_is_fixed(cli, untidy, room) -> None:
    (room / "plans").mkdir()
    (room / "part.yaml").write_text(
        "mutspec: 1\nparams: {to: 0}\nsteps: [{op: fill, target: dense_1, value: '${params.to}'}]\n"
    )
    plan = "mutspec: 1\nsteps:\n  - seed: 1  # which\n    with: {to: 1_0}\n    use: %s\n    id: a\n"
    tidy = "mutspec: 1\nsteps:\n  - id: a\n    use: %s\n    with: {to: 10}\n    seed: 1  # which\n"
    for path, use, options in (("a.yaml", "part", ()), ("plans/b.yaml", "../part", ("--recipes", "."))):
        (room / path).write_text(plan % use)
        fixed = cli("validate", "--fix", path, *options)
        assert (fixed.code, fixed.err) == (0, f"{path}: fixed the spelling of 1 value and order of keys in 1 mapping\n")
        assert (room / path).read_text() == tidy % use


def test_a_huge_file_is_not_read_as_a_whole_to_be_fixed(cli, room) -> None:
    with (room / "huge.yaml").open("wb") as file:
        file.truncate(1 << 34)
    refused = cli("validate", "--fix", "huge.yaml")
    assert (refused.code, "larger than 16 MiB" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--diff", "untidy.yaml"], "--diff shows what --fix would change"),
        (["--fix", "dense_noise"], "is a recipe of mutspec, which --fix does not write"),
        (["--fix", "magnitude"], "there is no such file"),
        (["--fix", "/dev/null"], "is not a file"),
        (["--fix", "-", "--json"], "cannot take --format json as well"),
    ],
)
def test_calls_that_do_not_make_sense_are_refused(cli, untidy, arguments, message) -> None:
    untidy.with_name("dense_noise.yaml").unlink()
    refused = cli("validate", *arguments)
    assert refused.code == 2
    assert message in refused.err


def test_standard_input_is_fixed_on_standard_output(untidy) -> None:
    call = [sys.executable, "-m", "mutspec", "validate", "--fix", "-"]
    done = subprocess.run(call, input=UNTIDY.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, TIDY.encode(), b"")


def test_a_file_that_cannot_be_written_stays_as_it_is(cli, untidy) -> None:
    before = sorted(untidy.parent.iterdir())
    with files_of_at_most(10):
        refused = cli("validate", "--fix", "untidy.yaml")
    assert (refused.code, "File too large" in refused.err) == (3, True), refused.err
    assert (untidy.read_text(), sorted(untidy.parent.iterdir())) == (UNTIDY, before)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(cli, untidy) -> None:
    untidy.parent.chmod(0o500)
    try:
        refused = cli("validate", "--fix", "untidy.yaml")
    finally:
        untidy.parent.chmod(0o700)
    assert refused.code == 3
    assert untidy.read_text() == UNTIDY
