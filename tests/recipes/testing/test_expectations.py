"""Each expectation holds where it is right, and says what was expected and found where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mutspec.recipes.testing.attempt import Workspace, workspace
from mutspec.recipes.testing.document import Expected
from mutspec.recipes.testing.expectations import EXPECTATIONS
from mutspec.recipes.testing.results import CaseResult
from mutspec.recipes.testing.run import run_test
from tests.recipes.testing.folders import PLAN, read

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

INSERT = """\
mutspec: 1
steps:
  - {id: more, op: insert_layer, after: dense, layer: {type: ReLU}}
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Workspace]:
    """What the tests of this file share, so that the described model is made once."""
    with workspace() as made:
        yield made


def result_of(folder: Path, shared: Workspace, test: str, plan: str = PLAN) -> CaseResult:
    (case,) = read(folder, f"- {{name: a, {test}}}\n", plan).cases
    return run_test(case, shared)


def test_every_key_but_error_has_a_function() -> None:
    assert [*EXPECTATIONS, "error"] == [*Expected.__struct_fields__]


HOLDS = [
    "targets: {match: dense/kernel, not: dense/bias, only: {weights: kernels}}",
    "counts: {noise: 18}",
    "counts: {noise: {min: 18, max: 18}}",
    "structure: {added: [], removed: 0, changed: {max: 0}, parameters: 23, layers: 3}",
    "structure: {inputs: [[null, 4]], outputs: [[null, 2]]}",
    "layers: [{target: {type: Dense}, count: 2}, {target: {name: out, preceded_by: dense}, count: {min: 1}}]",
    "warnings: []",
    "diff: {target: {weights: kernels}, changed: {min: 2}, relative_l2: {min: 0.01, max: 1}, non_finite: 0}",
    "diff: [{target: {weights: biases}, changed: 0, l2: 0, max_abs: 0, cosine: 1}]",
    "unchanged: {weights: biases}",
    "values: [{target: {weights: biases}, zeros: {min: 2}, distinct: 1, min: 0, max: 0, mean: 0}]",
    "finite: weights",
]


@pytest.mark.parametrize("expected", HOLDS)
def test_what_is_right_passes(expected: str, tmp_path: Path, shared: Workspace) -> None:
    result = result_of(tmp_path, shared, f"expect: {{{expected}}}")
    assert (result.outcome, result.problems) == ("passed", ())


FAILS = {
    "targets: {match: dense}": "expected the steps to touch `dense/bias`. the steps touch `dense/kernel`, `out/kernel`",
    "targets: {not: out}": "expected the steps not to touch `out/kernel`",
    "targets: {only: out/kernel}": "to touch nothing else, but they touch `dense/kernel`",
    "targets: {match: dens}": "Did you mean `dense`?",
    "counts: {noise: 17}": "entries that `noise` touches: expected 17, found 18",
    "counts: {noise: {max: 17}}": "expected at most 17, found 18",
    "counts: {nose: 18}": "the plan has no step `nose`. its steps are `noise` Did you mean `noise`?",
    "structure: {added: [more]}": "expected `more` to be added. no layer is added",
    "structure: {parameters: 24}": "parameters: expected 24, found 23",
    "structure: {layers: {min: 4}}": "layers: expected at least 4, found 3",
    "structure: {outputs: [[null, 3]]}": "shapes of outputs: expected (?, 3), found (?, 2)",
    "structure: {inputs: [[1, 4]]}": "shapes of inputs: expected (1, 4), found (?, 4)",
    "layers: [{target: {type: Dense}, count: 3}]": "layers that match: expected 3, found 2",
    "layers: [{target: {type: Dnse}, count: 0}]": "Did you mean `Dense`?",
    "warnings: [slow]": "expected a warning with `slow`. there are no warnings",
    "diff: {target: dense/kernel, changed: 3}": "`changed`: expected 3, found 12 for `dense/kernel`",
    "diff: {relative_l2: {max: 0.001}}": "`relative_l2`: expected at most 0.001, found",
    "diff: {target: {weights: biases}, l2: {min: 1, max: 2}}": "expected 1 to 2, found 0 for `dense/bias`, 0 for `out",
    "unchanged: dense": "expected `dense/kernel` to stay as it is, but it is changed in 12 entries of 12",
    "unchanged: dens": "Did you mean `dense`?",
    "values: {target: dense/kernel, zeros: 1}": "`zeros`: expected 1, found 0 for `dense/kernel`",
    "snapshot: null": "the snapshot is empty. `mutspec test --update` fills it in",
    "snapshot: {structure: x}": "expected the structure x, found",
    "snapshot: {structure: x, tensors: {dense/kernel: y, b: z}}": "did not expect to differ from the model's: `out/ker",
    "error: no layer": "expected an error with `no layer`, but the plan was applied",
}


@pytest.mark.parametrize(("expected", "words"), FAILS.items(), ids=FAILS)
def test_what_is_wrong_fails_and_says_what_was_expected_and_found(
    expected: str, words: str, tmp_path: Path, shared: Workspace
) -> None:
    result = result_of(tmp_path, shared, f"expect: {{{expected}}}")
    assert result.outcome == "failed"
    assert words in "\n".join(map(str, result.problems))
    assert all(problem.place and problem.place.line == 6 for problem in result.problems)


STRUCTURAL = {
    "targets: {match: more, only: more}": "",
    "structure: {added: [more], removed: [], changed: [out], layers: 4}": "",
    "structure: {added: []}": "did not expect to be added: `more`",
    "layers: [{target: {name: more, preceded_by: dense, followed_by: out}, count: 1}]": "",
    'unchanged: "*"': "",
    "diff: {changed: 0}": "",
    "targets: {only: out}": "expected the steps to touch `out/kernel`, `out/bias`",
}


@pytest.mark.parametrize(("expected", "words"), STRUCTURAL.items(), ids=STRUCTURAL)
def test_expectations_hold_for_structural_plans_too(
    expected: str, words: str, tmp_path: Path, shared: Workspace
) -> None:
    result = result_of(tmp_path, shared, f"expect: {{{expected}}}", INSERT)
    assert (result.outcome == "passed") is not words
    assert words in "\n".join(map(str, result.problems))


def test_a_weight_that_is_gone_is_not_unchanged(tmp_path: Path, shared: Workspace) -> None:
    plan = "mutspec: 1\nsteps: [{op: extract, to: dense}]\n"
    result = result_of(tmp_path, shared, "expect: {unchanged: out/bias, diff: {target: out/bias, l2: 0}}", plan)
    said = "\n".join(map(str, result.problems))
    assert "expected `out/bias` to stay as it is, but it is removed" in said
    assert "`l2`: expected 0, found nothing, as it is removed for `out/bias`" in said


ERRORS = {
    "set: {params.sd: 1}, expect: {error: declares no parameter}": "",
    "set: {params.sd: 1}, expect: {finite: weights}": "6:19: the plan declares no parameter `sd`",
    "set: {params.std: -1}, expect: {error: takes text}": "expected an error with `takes text`, found another one",
    "set: {params.std: 1.0e300}, expect: {error: infinite}": "",
    "set: {params.std: 1.0e300}, expect: {counts: {noise: 18}}": "",
    "model: nodel, expect: {finite: weights}": "6:20: there is no model `nodel`",
    "model: noise.yaml, expect: {finite: weights}": "6:20: ",
    "inputs: {teacher: tiny}, expect: {error: declares no input}": "",
}


@pytest.mark.parametrize(("test", "words"), ERRORS.items(), ids=ERRORS)
def test_a_refused_plan_is_a_failure_unless_the_test_expects_it(
    test: str, words: str, tmp_path: Path, shared: Workspace
) -> None:
    result = result_of(tmp_path, shared, test)
    assert result.outcome == ("failed" if words else "passed"), result.problems
    assert words in "\n".join(map(str, result.problems))


def test_seed_and_overrides_reach_the_plan(tmp_path: Path, shared: Workspace) -> None:
    tests = """
        - {name: a, expect: {snapshot: }}
        - {name: b, seed: 1, expect: {snapshot: }}
        - {name: c, set: {params.std: 0.2, steps.noise.target: out}, expect: {snapshot: }}
    """
    cases = read(tmp_path, tests).cases
    made = [run_test(case, shared, updates=True).snapshot for case in cases]
    first, second, third = (each.tensors for each in made if each is not None)
    assert first["dense/kernel"] != second["dense/kernel"]
    assert [*third] == ["out/kernel", "out/bias"]


def test_a_test_that_needs_keras_says_so_where_there_is_none(
    tmp_path: Path, shared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    result = result_of(tmp_path, shared, "expect: {preserves_function: true}")
    assert result.outcome == "error"
    assert "Keras" in str(result.problems[0])


KERAS = {
    "expect: {preserves_function: true}, set: {params.std: 0}": "",
    "expect: {preserves_function: true}": "expected the predictions of the model, found outputs that differ by",
    "expect: {preserves_function: false}": "",
    "expect: {preserves_function: false}, set: {params.std: 0}": "expected other predictions than the model's",
    "expect: {finite: outputs}": "",
}


@pytest.mark.parametrize(("test", "words"), KERAS.items(), ids=KERAS)
def test_keras_tells_what_a_mutant_predicts(test: str, words: str, tmp_path: Path, shared: Workspace) -> None:
    result = result_of(tmp_path, shared, test)
    assert result.outcome == ("failed" if words else "passed"), result.problems
    assert words in "\n".join(map(str, result.problems))


def test_gates_are_measured_on_data(tmp_path: Path, shared: Workspace) -> None:
    gates = "gates: [{metric: accuracy, min: 0.95}, {metric: accuracy, min: 1, max_drop: 0.5}]"
    result = result_of(
        tmp_path, shared, f"model: digits, set: {{params.std: 0.001}}, data: digits, expect: {{{gates}}}"
    )
    (problem,) = result.problems
    assert problem.message.startswith("accuracy is 0.989, and must be at least 1")
    assert problem.place is not None
    assert problem.place.text[problem.place.column - 1] == "1"
