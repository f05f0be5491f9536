"""`mutspec run`: what people see of runs and sweeps."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from mutspec.experiment.reports.aggregate import collect
from mutspec.resources import resource_folder
from tests.cli.conftest import ROOT, Call

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
COMMAND = [sys.executable, "-m", "mutspec", "run"]


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Calls the command as a process of its own. Idle processes that outlive it would keep its pipes open for 300 s."""
    variables = {**ENVIRONMENT, **environment}
    command = [*COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False, timeout=200)


def schema(name: str) -> dict[str, object]:
    content = json.loads((resource_folder("schemas") / f"{name}.schema.json").read_text())
    assert isinstance(content, dict)
    return content


def test_a_run_says_what_the_mutation_costs(room: Path, cli: Call) -> None:
    result = cli("run", "plan=dense_noise", "plan.params.std=1", "model.path=model.keras")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "dense_noise on model.keras"
    assert lines[1].startswith("std 1, seed 0, 364 samples of digits")
    header, accuracy, loss = (line.split() for line in lines[3:6])
    assert header == ["Base", "Mutant", "Change"]
    assert [accuracy[0], loss[0]] == ["Accuracy", "Loss"]
    assert float(accuracy[3]) == pytest.approx(float(accuracy[2]) - float(accuracy[1]), abs=1e-4)
    assert Path(lines[-1].removeprefix("Wrote ")).is_file()
    assert max(len(line) for line in lines) <= 80


def test_a_run_as_json_is_its_result_file(room: Path, cli: Call) -> None:
    result = cli("run", "--json", "plan=dense_noise", "hydra.run.dir=here")
    document = json.loads(result.out)
    jsonschema.validate(document, schema("result"))
    assert document == json.loads(Path("here/result.json").read_text())


def test_a_run_takes_a_table(room: Path, cli: Call) -> None:
    import keras

    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")]).save("own.keras")
    Path("own.csv").write_text("a,kind,b\n1,cat,2.5\n3,ant,-4\n50,cat,0\n")
    data = ["data=csv", "data.path=own.csv", "data.label=kind"]
    result = cli("run", "plan=dense_noise", "model.path=own.keras", *data)
    assert (result.code, result.err) == (0, "")
    assert "3 samples of own.csv" in result.out


def test_a_sweep_ends_with_a_table_and_its_files(room: Path, cli: Call) -> None:
    result = cli("run", "-m", "plan=dense_noise", "plan.params.std=0.1,1", "plan.seed=range(2)")
    assert (result.code, result.err) == (0, "")
    assert "4 jobs, 2 values of std, 2 seeds each" in result.out
    (folder,) = Path("runs/dense_noise").iterdir()
    assert f"plot.png, plot.svg, plot.pdf and report.html in {folder}" in " ".join(result.out.split())
    assert (folder / "plot.png").stat().st_size > 1000
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["params.std"], row["seed"]) for row in rows] == [("0.1", "0"), ("0.1", "1"), ("1", "0"), ("1", "1")]


def test_a_sweep_as_json_is_its_report(room: Path, cli: Call) -> None:
    result = cli("run", "-m", "--json", "plan=dense_noise", "plan.seed=0,1", "mode=dry_run")
    document = json.loads(result.out)
    jsonschema.validate(document, schema("report"))
    assert document["jobs"]["total"] == 2


def test_a_sweep_in_which_a_job_fails_shows_the_others_and_ends_with_its_code(room: Path, cli: Call) -> None:
    target = "plan.steps.gaussian_noise.target.name"
    result = cli("run", "-m", "plan=dense_noise", f"{target}=dense_1,dense_3,dense_4")
    assert result.code == 2
    assert "2 jobs failed" in result.out
    assert "mutant      1" in result.out
    assert f"override 2:1:39: no layer is called `dense_3`\n  1 | {target}=dense_3\n" in result.err
    assert result.err.count("no layer is called") == 2


def test_one_reason_for_many_jobs_is_told_once(room: Path, cli: Call) -> None:
    result = cli("run", "-m", "-q", "plan=dense_noise", "plan.seed=range(3)", "evaluate.metrics=[acuracy]")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("seed=0 and 2 more: Keras has no metric `acuracy`\n")
    assert result.err.count("acuracy") == 1


def test_quiet_says_nothing_about_what_is_right(room: Path, cli: Call) -> None:
    result = cli("run", "-q", "plan=dense_noise", "mode=dry_run")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_the_configuration_can_be_looked_at(room: Path, cli: Call) -> None:
    result = cli("run", "plan=dense_noise", "plan.params.std=0.2", "--cfg", "job")
    assert result.code == 0
    assert "    std: ${plan.params.std}\n" in result.out
    assert "hydra:" not in result.out
    assert not Path("runs").exists()
    assert cli("run", "plan=dense_noise", "--cfg", "hydra").out.startswith("hydra:\n")


def test_help_lists_the_groups_and_has_examples(room: Path, cli: Call) -> None:
    page = cli("run", "--help").out
    assert "mutspec run" in page.partition("Examples:")[2]
    groups = page.partition("Groups, and their options:")[2]
    for words in ("dense_noise", "csv, digits, images, npz", "apply, breaking_point, diff, dry_run", "classification"):
        assert words in groups


@pytest.mark.parametrize("arguments", [("--config-dir", ".", "--help"), ("--help", "--config-dir=.")])
def test_the_help_page_lists_the_calls_own_recipes_and_groups(
    arguments: tuple[str, ...], cli: Call, room: Path
) -> None:
    for name in ("recipes/own_plan", "data/own_data", "mine/own_option", "sweep/multirun", "sweep/results", ".hid/it"):
        (room / name).parent.mkdir(exist_ok=True)
        (room / f"{name}.yaml").write_text("mutspec: 1\nsteps: [{op: zero, target: dense_1}]\n")
    done = cli("run", *arguments)
    listing = done.out.partition("Groups, and their options:")[2]
    groups = dict(re.findall(r"^  (\S+) +(\S.*(?:\n   +.*)*)", listing, re.MULTILINE))
    assert done.code == 0
    assert "own_plan" in groups["plan"]
    assert "own_data" in groups["data"]
    assert groups["mine"] == "own_option"
    assert not {"sweep", "recipes", ".hid"} & set(groups)
    assert "own_plan" not in cli("run", "--help").out


def test_help_does_not_load_hydra() -> None:
    code = (
        "import sys; from mutspec.cli.boundary import run; from mutspec.cli.main import cli\n"
        "run(cli, ['run', '--help'], 'mutspec'); print(sorted({'hydra', 'omegaconf', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_layers_and_data_of_the_users_own_are_found_in_the_current_folder(room: Path, cli: Call) -> None:
    (room / "my_own_data.py").write_text("import numpy as np\ndef make(n=5):\n    return np.ones((n, 8, 8, 1)), None\n")
    result = cli("run", "plan=dense_noise", "data._target_=my_own_data.make", "data.n=7", "--import", "my_own_data")
    assert (result.code, result.err) == (0, "")
    assert "7 samples of my_own_data.make" in result.out


def test_a_sweeper_that_chooses_values_is_given_the_objective(room: Path, cli: Call) -> None:
    pytest.importorskip("optuna")
    sweeper = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.direction=maximize")
    call = ("plan=dense_noise", "plan.params.std=interval(0.1,3)", "objective=drop.accuracy", *sweeper)
    result = cli("run", "-m", *call)
    assert (result.code, result.err) == (0, "")
    (folder,) = Path("runs/dense_noise").iterdir()
    values = [each.value for each in collect(folder)]
    assert len(values) == 3
    assert (
        f"best_value: {max(value for value in values if value is not None)}"
        in (folder / "optimization_results.yaml").read_text()
    )


def test_an_interrupt_ends_a_sweep_with_130_and_without_a_traceback(room: Path) -> None:
    (room / "slow_data.py").write_text("import time\ndef make():\n    open('begun', 'w').close()\n    time.sleep(60)\n")
    command = [*COMMAND, "-m", "plan=dense_noise", "plan.seed=1,2", "data._target_=slow_data.make"]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (room / "begun").exists() and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors.strip()) == (130, "mutspec: interrupted")


def test_a_file_that_a_job_in_its_own_folder_does_not_find_is_told_by_its_whole_path(room: Path, cli: Call) -> None:
    result = cli("run", "plan=dense_noise", "model.path=model.keras", "hydra.job.chdir=true")
    assert result.code == 2
    assert "model.keras: there is no such model file\n" in result.err
    assert (
        f"hydra.job.chdir has it looked for in the job's folder; give its whole path, {room}/model.keras" in result.err
    )
    assert cli("run", "plan=dense_noise", f"model.path={room}/model.keras", "hydra.job.chdir=true").code == 0


def test_a_second_interrupt_while_the_first_is_told_leaves_no_traceback(room: Path) -> None:
    (room / "impatient.py").write_text(
        "import sys\n"
        "class Interrupted:\n"
        "    def write(self, text):\n"
        "        raise KeyboardInterrupt\n"
        "    def flush(self):\n"
        "        pass\n"
        "def make():\n"
        "    sys.stderr = Interrupted()\n"
        "    raise KeyboardInterrupt\n"
    )
    assert process("plan=dense_noise", "data._target_=impatient.make").returncode == 130


# -- mistakes

INTERNALS = (
    "Traceback",
    "HYDRA_FULL_ERROR",
    "hydra/_internal",
    "site-packages",
    "Exception",
    "full_key",
    "object_type",
)
"""What only developers of Hydra, OmegaConf or Python need."""

MISTAKES: list[tuple[str, int, str]] = [
    # the plan
    ("", 2, "the call names no plan\n  = add plan=NAME, one of "),
    ("-m plan.seed=1,2", 2, "the call names no plan"),
    ("plan=dense_nois", 2, "override 1:1:6: there is no recipe `dense_nois`"),
    ("-m plan=dense_noise,conv_nois", 2, "there is no recipe `conv_nois`"),
    ("plan=plans/own.yaml", 2, "did you mean `plan_file=plans/own.yaml`?"),
    ("plan_file=missing.yaml", 2, "missing.yaml: there is no such file"),
    ("plan_file=", 2, "`plan_file` names no file"),
    ("plan_file=dense_noise.yaml plan=dense_noise", 2, "by plan=… and by plan_file=…"),
    ("plan=null", 2, "`plan` has no value"),
    ("plan=[dense_noise,conv_noise]", 2, "to run one after the other: -m plan=dense_noise,conv_noise"),
    ("plan=dense_noise +plan=conv_noise", 2, "override 2:1:1: `plan` has a value already\n"),
    ("--config-dir own plan=broken", 2, "own/recipes/broken.yaml:2:36: this is not YAML"),
    ("--config-dir own plan=typo", 2, "own/recipes/typo.yaml:2:20: `zero` has no key `taget`"),
    ("--config-dir own plan=hydras", 2, "a plan cannot have the line `# @package`"),
    ("plan=dense_noise plan.params.sdt=1", 2, "did you mean `plan.params.std`?"),
    ("plan=dense_noise plan.params.std=-1", 2, "override 2:1:17: `std` takes a number of at least 0, not -1"),
    ("plan=dense_noise plan.steps.noise.std=1", 2, "the plan has no step `noise`"),
    ("plan=dense_noise plan.steps.gaussian_noise.std.x=1", 2, "override 2:1:1: "),
    ("plan=dense_noise plan.steps.gaussian_noise.target.name=dense_3", 2, "no layer is called `dense_3`"),
    ("-m plan=conv_noise,kernel_faults plan.params.std=1", 2, "declares no parameter `std` (recipe `kernel_faults`)"),
    # groups and keys
    ("plan=dense_noise model=digit", 2, "override 2:1:7: `model` has no option `digit`"),
    ("plan=dense_noise mode=aply", 2, "did you mean `apply`?"),
    ("plan=dense_noise modle=digits", 2, "override 2:1:1: the configuration has no `modle`"),
    ("plan=dense_noise evalute.loss=mse", 2, "did you mean `evaluate.loss`?"),
    ("plan=dense_noise evaluate.los=mse", 2, "did you mean `evaluate.loss`?"),
    ("plan=dense_noise seed=3", 2, "did you mean `plan.seed`?"),
    ("plan=dense_noise params.std=3", 2, "did you mean `plan.params.std`?"),
    ("plan=dense_noise +mode.foo=1", 2, "`mode` has no key `foo`"),
    ("plan=dense_noise +seeds=3", 2, "write seeds=… without the +"),
    (
        "plan=dense_noise ~foo",
        2,
        "2:1:1: Hydra refuses the call: Could not delete from config. 'foo' does not exist\n",
    ),
    ("plan=dense_noise ~plan.params.std", 2, "`params.std` cannot be taken out of a plan"),
    ("plan=dense_noise foo@bar=x", 2, "the configuration has no `foo`"),
    ("--config-dir nowhere plan=dense_noise", 2, "nowhere: there is no such folder"),
    ("--config-dir own --config-name mine plan=dense_noise", 2, "there is no configuration `mine`"),
    ("--config-dir own plan=dense_noise experiment=broken", 2, "own/experiment/broken.yaml:2:2: this is not YAML"),
    ("--config-dir own plan=dense_noise experiment=brokn", 2, "did you mean `broken`?"),
    # overrides
    ("dense_noise", 2, "did you mean `plan=dense_noise`"),
    ("dense_noise.yaml", 2, "did you mean `plan_file=dense_noise.yaml`?"),
    ("plan=dense_noise plan.params.std=[0.1", 2, "override 2:1:21: the override cannot be read from here on"),
    ("plan=dense_noise plan.params.std=0.1,0.2", 2, "to sweep over them add -m"),
    ("plan=dense_noise plan.seed=range(3)", 2, "to sweep over them add -m\n"),
    (
        "-m plan=dense_noise plan.seed=rnge(3)",
        2,
        "`rnge(3)` cannot be evaluated: Unknown function 'rnge'\n",
    ),
    ("-m plan=dense_noise plan.seed=range(a)", 2, "`range(a)` cannot be evaluated"),
    ("-m plan=dense_noise plan.params.std=interval(0,1)", 2, "hydra/sweeper=optuna"),
    ("-m plan=glob(x*)", 2, "nothing matches, so the sweep has no jobs"),
    ("plan=dense_noise model.path=${nope}", 2, "`model.path` cannot be resolved"),
    ("plan=dense_noise plan.params.std=${nope}", 2, "`plan.params.std: ${nope}` cannot be resolved"),
    # Hydra's own settings
    ("plan=dense_noise hydra/launcher=submitit_locl", 2, "`hydra/launcher` has no option `submitit_locl`"),
    ("-m plan=dense_noise hydra/launcher=mutspc", 2, "did you mean `mutspec`"),
    ("plan=dense_noise hydra.rn.dir=x", 2, "did you mean `hydra.run.dir`?"),
    ("plan=dense_noise hydra.callbacks.log._target_=cbs.Log", 2, "a + adds a key of your own: +hydra.callbacks.log"),
    ("plan=dense_noise hydra/launchr=mutspec", 2, "did you mean `hydra/launcher`"),
    ("plan=dense_noise hydra.launcher.n_jobs=2", 2, "`hydra.launcher` has _target_"),
    ("plan=dense_noise hydra.job.chdir=foo", 2, "`hydra.job.chdir` does not take this value"),
    ("-m plan=dense_noise hydra.job.chdir=true,false", 2, "override 2:1:1: Hydra refuses the call: Sweeping over"),
    # settings
    ("plan=dense_noise seeds=0", 2, "override 2:1:7: `seeds`: expected a whole number of at least 1"),
    ("plan=dense_noise seeds=2 save=true", 2, "`save` keeps one mutant, and seeds=2 makes 2"),
    ("plan=dense_noise save=a/b.keras", 2, "`save` is true, or the name of a model file"),
    ("plan=dense_noise objective=acuracy", 2, "did you mean `accuracy`"),
    (
        "plan=dense_noise evaluate=agreement objective=accuracy",
        2,
        "there are agreement, sample_agreement, divergence, deviation, non_finite_outputs",
    ),
    ("plan=dense_noise model.path=modle.keras", 2, "did you mean `model.keras`?"),
    ("plan=dense_noise model.path=dense_noise.yaml", 2, "dense_noise.yaml is not a model file"),
    ("plan=half_kernel_transfer", 2, "the input `teacher` of the plan `half_kernel_transfer` is not bound"),
    ("plan=half_kernel_transfer inputs.techer=model.keras", 2, "did you mean `inputs.teacher`?"),
    ("plan=dense_noise data=npz", 2, "`data.path` is not given\n  = add data.path=…"),
    ("plan=dense_noise data=npz data.pth=x.npz", 2, "did you mean `data.path`?"),
    ("plan=dense_noise data=npz data.path=x.npz", 2, "x.npz: there is no such file"),
    ("plan=dense_noise data._target_=no_such_module.make", 2, "there is no module `no_such_module`"),
    ("plan=dense_noise evaluate.metrics=[acuracy]", 2, "Keras has no metric `acuracy`"),
    ("plan=dense_noise evaluate.metrics=[mymet.off]", 2, "is written as {_target_: mymet.off}"),
    ("plan=dense_noise evaluate.metrics=accuracy", 2, "`evaluate.metrics`: expected a list of metrics, got text"),
    ("plan=dense_noise evaluate.metrics=[3]", 2, "expected a name of Keras or a mapping with `_target_`"),
    ("plan=dense_noise evaluate.loss=crosentropy", 2, "Keras has no loss `crosentropy`"),
    ("plan=dense_noise evaluate=regression", 2, "is of shape (n, 10), and its labels are of shape (n,)"),
    (
        "plan=dense_noise plan.params.std=4e38 plan.steps.gaussian_noise.relative_to=absolute plan.non_finite=error",
        1,
        "NaN",
    ),
    ("plan=dense_noise hydra.run.dir=model.keras/x", 2, "not a directory"),
    ("plan=dense_noise --multrun", 2, "did you mean `--multirun`?"),
]


@pytest.fixture
def own(room: Path) -> Path:
    """The room with configurations of the user's own."""
    for name, text in {
        "recipes/broken.yaml": "mutspec: 1\nsteps: [{op: zero, target: dense_1}\n",
        "recipes/typo.yaml": "mutspec: 1\nsteps: [{op: zero, taget: dense_1}]\n",
        "recipes/hydras.yaml": "# @package _global_\nmutspec: 1\nsteps: [{op: zero, target: dense_1}]\n",
        "experiment/broken.yaml": "a: [1\nb: 2\n",
    }.items():
        (room / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (room / "own" / name).write_text(text)
    return room


@pytest.mark.parametrize(("call", "code", "words"), MISTAKES)
def test_a_mistake_is_told_without_internals(own: Path, cli: Call, call: str, code: int, words: str) -> None:
    result = cli("run", *call.split())
    assert result.code == code, result.err
    assert words in result.err
    assert result.out == ""
    assert not [internal for internal in INTERNALS if internal in result.err]
    assert not Path("runs").exists()


def test_a_mistake_is_told_in_our_words_even_if_hydra_is_asked_for_its_own(own: Path) -> None:
    result = process("plan=dense_nois", HYDRA_FULL_ERROR="1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "override 1:1:6: there is no recipe `dense_nois`\n"
        "  1 | plan=dense_nois\n"
        "    |      ^^^^^^^^^^\n"
        "  = did you mean `dense_noise`"
    )
    assert result.stderr.count("\n") == 4


def test_a_package_that_is_not_installed_is_the_environments_fault(
    room: Path, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mutspec.experiment.jobs import plugin_errors

    monkeypatch.setitem(plugin_errors.EXTRAS, "launcher/of_the_moon", "joblib")
    result = cli("run", "plan=dense_noise", "hydra/launcher=of_the_moon")
    assert result.code == 3
    assert "pip install 'mutspec[joblib]'" in result.err


def test_a_launcher_that_does_not_find_its_cluster_is_the_environments_fault(
    room: Path, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    result = cli("run", "-m", "plan=dense_noise", "mode=dry_run", "hydra/launcher=submitit_slurm")
    assert result.code == 3
    assert 'the launcher cannot run the jobs: could not detect "srun"' in result.err
    assert not Path("runs").exists()


def test_code_in_a_model_file_runs_only_if_the_call_says_so(room: Path, cli: Call) -> None:
    import keras

    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Lambda(lambda x: (open("canary", "w").close(), x)[1], output_shape=(8, 8, 1))(inputs)
    keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(flat))).save("code.keras")
    Path("canary").unlink(missing_ok=True)
    for call in (("run",), ("run", "-m")):
        result = cli(*call, "plan=dense_noise", "model.path=code.keras")
        assert (result.code, Path("canary").exists()) == (2, False)
        said = " ".join(result.err.split())
        assert "(Lambda) holds Python code, which is not run when it is loaded" in said
        assert "model.unsafe=true" in said
    assert cli("run", "plan=dense_noise", "model.path=code.keras", "model.unsafe=true").code == 0
    assert Path("canary").exists()
