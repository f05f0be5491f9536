"""The command line as a process sees it: exit codes, streams, help."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from mutspec.cli.boundary import run
from tests.cli.conftest import called
from tests.execute.model_files import write_gzipped_stack

GOOD = "mutspec: 1\nsteps: [{op: zero, target: dense}]\n"
BAD = "mutspec: 1\nsteps: [{op: zero, taget: dense}]\n"


ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
COMMAND = [sys.executable, "-m", "mutspec"]


def process(*arguments: str, cwd: Path | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What a process of its own leaves behind."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=ENVIRONMENT, check=False, cwd=cwd, input=text
    )


@pytest.fixture(autouse=True)
def _plain_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a plan that is valid and one that is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


CALLS = [
    (["--help"], 0, "Commands:"),
    (["--version"], 0, "plan language 1"),
    ([], 2, "Usage: mutspec"),
    (["valdate"], 2, "did you mean `validate`?"),
    (["validate"], 2, "missing argument"),
    (["validate", "--modle", "a", "good.yaml"], 2, "did you mean `--model`?"),
    (["validate", "--seed", "x", "good.yaml"], 2, "not a valid integer"),
    (["validate", "--seed", "-1", "good.yaml"], 2, "x>=0"),
    (["validate", "--format", "xml", "good.yaml"], 2, "'text', 'json', 'github'"),
    (["validate", "--input", "teacher", "good.yaml"], 2, "name=MODEL"),
    (["validate", "--input", "a=b", "--input", "a=c", "good.yaml"], 2, "binds `a` twice"),
    (["validate", "--input", "a=b", "good.yaml"], 2, "declares"),
    (["validate", "--import", "no_such_module", "good.yaml"], 2, "`no_such_module` cannot be imported"),
    (["validate", "good.yaml"], 0, "good.yaml: valid"),
    (["validate", "bad.yaml"], 2, "bad.yaml:2:20: `zero` has no key `taget`"),
    (["validate", "missing.yaml"], 2, "no such file"),
    (["validate", "."], 2, "folder"),
    (["validate", "good.yaml", "--set", "sed=3"], 2, "override 1:1:1: an override cannot begin with `sed`"),
    (["test"], 2, "no recipe tests were found in ."),
    (["ops", "zreo"], 2, "did you mean `zero`?"),
    (["ops", "GF"], 0, "GF of the literature is gaussian_noise"),
    (["ops"], 0, "gaussian_noise"),
    (["ops", "zero"], 0, "Set each chosen weight to zero"),
    (["ops", "--literature"], 0, "DeepMutation"),
    (["schema"], 0, "https://json-schema.org/draft/2020-12/schema"),
    (["completion", "bash"], 0, "_mutspec_completion"),
    (["completion", "zsh"], 0, "#compdef mutspec"),
    (["completion", "fish"], 0, "complete --no-files --command mutspec"),
    (["completion", "tcsh"], 2, "'tcsh' is not one of"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), CALLS, ids=[" ".join(call[0]) for call in CALLS])
def test_a_call_ends_with_its_code_and_says_why(arguments: list[str], code: int, words: str, plans: Path) -> None:
    result = called(*arguments)
    assert result.code == code, result.err
    assert words in (result.out if code == 0 else result.err)
    assert "Traceback" not in result.err
    assert "\x1b" not in result.out + result.err
    if code:
        assert not result.out


@pytest.mark.parametrize("arguments", [["validate", "good.yaml"], ["validate", "bad.yaml"]])
def test_a_process_leaves_what_its_call_says_and_ends_with_its_code(arguments: list[str], plans: Path) -> None:
    result, expected = process(*arguments, cwd=plans), called(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (expected.code, expected.out, expected.err)


@pytest.mark.parametrize("command", ["validate", "ops", "schema", "test", "lock", "verify", "init", "completion"])
def test_every_commands_help_has_examples(command: str) -> None:
    result = called(command, "--help")
    assert result.code == 0
    assert f"mutspec {command}" in result.out.partition("Examples:")[2]
    assert max(len(line) for line in result.out.splitlines()) <= 100


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_early_is_not_an_error(unbuffered: str) -> None:
    """Python fails at other places where it does not buffer what it writes."""
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        [*COMMAND, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_interrupt_ends_with_130_and_without_a_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "plan.yaml"
    os.mkfifo(pipe)  # reading it waits, until the interrupt
    command = [*COMMAND, "validate", str(pipe)]
    # A shell makes its jobs in the background ignore SIGINT, and all their children too.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(1)  # it is waiting by then
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors.strip() == "mutspec: interrupted"


STUBBORN = """
import time
def wait(said):
    try:
        print(said, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        wait("heard")
wait("ready")
"""


def test_a_second_interrupt_ends_whatever_the_first_one_did_not(plans: Path) -> None:
    (plans / "stubborn.py").write_text(STUBBORN)
    with subprocess.Popen(
        [*COMMAND, "validate", "--import", "stubborn", "good.yaml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        cwd=plans,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for said in ("ready", "heard"):
            assert process.stdout.readline().strip() == said
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit no address space")
@pytest.mark.parametrize("megabytes", [60, 150])
def test_too_little_memory_is_the_environments_fault(megabytes: int) -> None:
    limit = (megabytes << 20, megabytes << 20)
    result = subprocess.run(
        [*COMMAND, "inspect", str(ROOT / "conf" / "model" / "digits.keras")],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in ENVIRONMENT.items() if key != "OPENBLAS_NUM_THREADS"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    assert result.returncode == 3, result.stderr
    assert result.stderr.startswith("error: there is not enough memory")
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit no address space")
def test_the_least_memory_is_enough_to_apply_a_plan(plans: Path) -> None:
    (plans / "noise.yaml").write_text(GOOD.replace("zero, target: dense", "zero, target: {weights: kernels}"))
    limit = (200 << 20, 200 << 20)
    model = str(ROOT / "conf" / "model" / "digits.keras")
    result = subprocess.run(
        [*COMMAND, "apply", "noise.yaml", model, "-o", "mutant.keras"],
        cwd=plans,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )
    assert result.returncode == 0, result.stderr


def test_a_limit_is_raised_by_the_flag_that_the_error_names() -> None:
    model = str(ROOT / "conf" / "model" / "digits.keras")
    refused = called("inspect", model, "--limit", "name_characters=3")
    assert refused.code == 2
    flag = refused.err.rpartition(": ")[2].split()
    assert flag[0] == "--limit"
    assert called("inspect", model, "--limit", "name_characters=3", "--limit", "name_characters=30").code == 0
    assert called("inspect", model, "--limit", "config_bytes=1MiB").code == 0
    unknown = called("inspect", model, "--limit", "config_byte=3")
    assert unknown.code == 2
    assert "did you mean `config_bytes`" in unknown.err


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")],
)
def test_a_signal_that_ends_an_apply_leaves_nothing(number: int, code: int, said: str, tmp_path: Path) -> None:
    model, plan = tmp_path / "model.keras", tmp_path / "plan.yaml"
    write_gzipped_stack(model, layers=4, units=600)
    plan.write_text("mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: kernels}, std: 0.5}]\n")
    process = subprocess.Popen(
        [*COMMAND, "apply", str(plan), str(model), "-o", str(tmp_path / "mutant.keras"), "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while not list(tmp_path.glob(".mutant*")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (code, f"mutspec: {said}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "plan.yaml"]


def test_a_hang_up_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """`nohup mutspec …` goes on when the terminal is closed."""
    pipe = tmp_path / "plan.yaml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*COMMAND, "validate", str(pipe)],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    with pipe.open("w") as plan:
        process.send_signal(signal.SIGHUP)
        plan.write("mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: kernels}, std: 0.5}]\n")
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_the_environments_fault() -> None:
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "schema"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=ENVIRONMENT)
    assert result.returncode == 3
    assert "no space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_validate_reads_standard_input() -> None:
    result = process("validate", "-", text=BAD)
    assert result.returncode == 2
    assert "<stdin>:2:20: " in result.stderr


IMPORTS = """
import sys
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
code = run(cli, ["validate", "good.yaml"], "mutspec")
heavy = {"h5py", "numpy", "keras", "tensorflow", "rich", "omegaconf", "mutspec.structure.network"}
print(code, sorted(heavy & set(sys.modules)))
"""


def test_validate_imports_neither_arrays_nor_pictures_nor_edits_of_architectures(plans: Path) -> None:
    command = [sys.executable, "-c", IMPORTS]
    result = subprocess.run(command, cwd=plans, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert result.stdout.splitlines()[-1] == "0 []"


def test_validate_as_json_is_one_document_about_all_plans(plans: Path) -> None:
    result = called("validate", "good.yaml", "bad.yaml", "missing.yaml", "--json")
    assert result.code == 2
    document = json.loads(result.out)
    assert document["format_version"] == 1
    assert document["valid"] is False
    assert [(plan["path"], plan["valid"]) for plan in document["plans"]] == [
        ("good.yaml", True),
        ("bad.yaml", False),
        ("missing.yaml", False),
    ]
    problem = document["plans"][1]["problems"][-1]
    assert (problem["severity"], problem["file"], problem["line"], problem["column"]) == ("error", "bad.yaml", 2, 20)
    assert problem["candidates"] == ["target"]
    assert document["plans"][2]["problems"][0]["line"] is None


def test_validate_annotates_pull_requests(plans: Path) -> None:
    result = called("validate", "bad.yaml", "--format", "github")
    assert result.code == 2
    place = "file=bad.yaml,line=2,col=20,endColumn=25"
    message = "`zero` has no key `taget`%0Adid you mean `target`?"
    assert f"::error {place},title=mutspec::{message}\n" in result.out


def test_quiet_says_nothing_about_what_is_right(plans: Path) -> None:
    result = called("validate", "-q", "good.yaml")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_completion_knows_commands_options_and_ops() -> None:
    def complete(words: str, position: int) -> str:
        asked = {"_MUTSPEC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        command = [sys.executable, "-c", "from mutspec.cli import main; main()"]
        environment = {**ENVIRONMENT, **asked}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout

    assert "plain,validate" in complete("mutspec va", 1)
    assert "plain,gaussian_noise" in complete("mutspec ops gau", 2)
    assert "plain,--format" in complete("mutspec validate --fo", 2)


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which `mutspec` is the command."""
    line = f'mutspec() {{ "{sys.executable}" -m mutspec "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, check=False)


APPLY = f"mutspec apply good.yaml {ROOT / 'conf/model/digits.keras'} -o out.keras --set steps.zero.target=dense_1"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_work_is_done_even_where_nobody_can_be_told(closed: str, plans: Path) -> None:
    result = shell(f"{APPLY} {closed}", plans)
    assert (result.returncode, result.stderr) == (0, "")
    assert (plans / "out.keras").stat().st_size > 10_000


def test_the_exit_code_says_what_nobody_can_be_told(plans: Path) -> None:
    assert shell("mutspec validate bad.yaml <&- >&- 2>&-", plans).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_report_that_cannot_be_printed_does_not_deny_the_output_that_is_written(plans: Path) -> None:
    result = shell(f"{APPLY} > /dev/full", plans)
    assert result.returncode == 0
    assert "the report could not be printed" in result.stderr
    assert "out.keras was written" in result.stderr
    assert (plans / "out.keras").is_file()
    assert shell(f"{APPLY} --force --dry-run > /dev/full", plans).returncode == 3


def test_an_interrupt_while_the_command_is_imported_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    result = subprocess.run(
        [*COMMAND, "ops"], capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_a_signal_while_the_command_is_imported_is_told_in_a_word(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    result = subprocess.run(
        [*COMMAND, "ops"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        check=False,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "\nmutspec: interrupted\n")


def test_an_interrupt_in_a_callback_is_not_lost(plans: Path) -> None:
    (plans / "swallows.py").write_text(
        "import os, signal, time\nclass Gone:\n    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n        time.sleep(5)\nGone()\ntime.sleep(5)\n"
    )
    result = subprocess.run(
        [*COMMAND, "validate", "good.yaml", "--import", "swallows"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        check=False,
        cwd=plans,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (result.returncode, result.stderr.strip()) == (130, "mutspec: interrupted")


def test_too_few_open_files_are_the_fault_of_the_machine(plans: Path) -> None:
    digits = ROOT / "conf/model/digits.keras"
    result = shell(f"ulimit -n 5; exec {sys.executable} -m mutspec inspect {digits}", plans)
    assert result.returncode == 3
    assert "ulimit -n" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_imported_module_that_exits_does_not_end_the_run_unsaid(plans: Path) -> None:
    (plans / "exits_when_imported.py").write_text("raise SystemExit(0)\n")
    result = called("validate", "good.yaml", "--import", "exits_when_imported")
    assert result.code == 2
    assert "the module `exits_when_imported` cannot be imported: SystemExit: 0" in result.err


def test_a_plan_may_come_through_a_pipe_and_a_model_may_not(plans: Path) -> None:
    assert shell("mutspec validate <(cat good.yaml)", plans).returncode == 0
    assert shell("mutspec validate /dev/stdin < good.yaml", plans).returncode == 0
    os.mkfifo(plans / "pipe.keras")
    result = shell("timeout 20 bash -c 'exec \"$0\" -m mutspec inspect pipe.keras' " + sys.executable, plans)
    assert result.returncode == 2
    assert "pipe.keras is a pipe" in result.stderr


def test_what_a_library_makes_of_an_interrupt_is_still_one(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    assert run(command, [], "mutspec") == 130
    assert capsys.readouterr().err.strip() == "mutspec: interrupted"


def test_an_interrupt_while_a_child_is_forked_is_neither_lost_nor_told_as_a_traceback(plans: Path) -> None:
    """Python and its libraries run code of theirs after a fork, in which exceptions are printed and passed over."""
    (plans / "late.py").write_text(
        "import os, signal\nos.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    )
    result = subprocess.run(
        [*COMMAND, "validate", "--import", "late", "good.yaml", "--model", str(ROOT / "conf/model/digits.keras")],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        cwd=plans,
    )
    assert (result.returncode, result.stderr.strip()) == (143, "mutspec: terminated")
