"""The judge sees what it must, and lets pass what is right: else the fuzzer says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import checks, corpus, mutate_zip
from tests.fuzz.__main__ import made
from tests.fuzz.case import Call, Case, Room, judged
from tests.fuzz.judge import CANARY, SECRET, SECRET_LINE, Rules, Verdict, digests, faults_of
from tests.fuzz.of_models import on_model
from tests.fuzz.of_plans import with_plan
from tests.fuzz.server import Blow, Limits, Outcome, Server, without_keras
from tests.fuzz.targets import TARGETS

GOOD = Outcome(0, "done\n", "", 0.1, 60)
REFUSED = Outcome(2, "", "error: the file is damaged\n", 0.1, 60)


def faults(outcome: Outcome, rules: Rules | None = None, new: str = "", changed: str = "") -> list[str]:
    before = {"model.keras": "1"}
    after = {**before, **({new: "2"} if new else {}), **({changed: "2"} if changed else {})}
    return list(faults_of(outcome, rules or Rules(), Limits(), before, after))


def test_a_quiet_success_and_a_refusal_in_a_sentence_are_fine() -> None:
    assert faults(GOOD) == faults(REFUSED) == []


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome(-11, "", "", 0.1, 60), "signal 11"),
        (Outcome(139, "", "", 0.1, 60), "exit code 139"),
        (Outcome(1, "", "", 0.1, 60), "exit code 1"),
        (Outcome(2, "", "", 0.1, 60), "without a word"),
        (
            Outcome(1, "", 'Traceback (most recent call last):\n  File "a/b.py", line 1, in f\nKeyError: 1\n', 0, 60),
            "KeyError in a/b.py:f",
        ),
        (Outcome(2, "", "error: <ast.BinOp object at 0x7fcd> is wrong\n", 0, 60), "Python's objects"),
        (Outcome(2, "", f"error: {'x' * 5000}\n", 0, 60), "a line of over"),
        (Outcome(3, "", "error: cannot write out: File too large\n", 0, 60), "blames the machine"),
        (Outcome(-9, "", "", 10, 60, "took over 10 s"), "took over 10 s"),
        (Outcome(0, "", "", 12, 60), "took over 10 s"),
        (Outcome(0, "", "", 1, 600), "MB of memory"),
        (Outcome(0, "\x1b[31m", "", 1, 60), "control characters"),
        (Outcome(0, SECRET, "", 1, 60), "environment"),
        (Outcome(2, "", f"error: {SECRET_LINE}", 1, 60), "a file that it was not given"),
        (Outcome(0, "", "", 1, 60, left=True), "left a process"),
    ],
)
def test_what_must_not_be_is_a_finding(outcome: Outcome, fault: str) -> None:
    (found,) = faults(outcome)
    assert fault in found


def test_files_that_appear_or_change_are_findings() -> None:
    assert faults(GOOD, new=CANARY) == ["ran code of its inputs"]
    assert faults(GOOD, changed="model.keras") == ["changed or removed model.keras"]
    assert faults(GOOD, new="other") == ["wrote other with exit code 0"]
    assert faults(REFUSED, Rules(output="out"), new="out") == ["wrote out with exit code 2"]
    assert faults(GOOD, Rules(output="out")) == ["exit code 0 without an output"]
    assert faults(GOOD, Rules(output="out"), new="out") == []


def nothing() -> None:
    """Import nothing beforehand."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(nothing)
    yield server
    server.stop()


def bad_calls(arguments: list[str]) -> None:
    """What a call may do that it must not, in the server's process."""
    (what,) = arguments
    while what == "loop":
        pass
    if what == "eat":
        _ = [bytearray(10**7) for _ in range(100)]
    if what == "write":
        Path("model.keras").write_bytes(b"other")
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("what", "fault"), [("loop", "took over 1 s"), ("eat", "MB of memory"), ("write", "changed or removed model.keras")]
)
def test_a_call_is_ended_or_caught_when_it_misbehaves(what: str, fault: str, server: Server, tmp_path: Path) -> None:
    call = Call((what,), function="tests.fuzz.test_judge:bad_calls")
    case = Case({"model.keras": b"base"}, (call,), limits=Limits(seconds=1, megabytes=100))
    (each,) = judged(case, tmp_path / "case", server)
    assert each.verdict is Verdict.FINDING
    assert fault in each.faults[0]


def test_a_blow_reaches_a_call_that_runs(server: Server, tmp_path: Path) -> None:
    outcome = server.call("tests.fuzz.test_judge:bad_calls", ["loop"], tmp_path, Limits(), Blow(15, 0.05))
    assert outcome.code == -15


def negated(data: bytes, changes: int) -> bytes:
    """A model in which the values of some datasets have the other sign, and nothing else differs."""
    import h5py

    path = Path("inner.h5")
    path.write_bytes(mutate_zip.member(data, "model.weights.h5"))
    with h5py.File(path, "r+") as file:
        for name in ("layers/dense/vars/0", "layers/conv2d/vars/0")[:changes]:
            file[name][...] = -file[name][...]
    inner = path.read_bytes()
    path.unlink()
    return mutate_zip.with_member(data, "model.weights.h5", inner)


@pytest.mark.parametrize("told", [0, 1])
def test_the_oracle_compares_what_is_reported_with_what_changed(
    told: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = corpus.model("tiny.keras")
    Path("model.keras").write_bytes(base)
    Path("out.keras").write_bytes(negated(base, 1))
    targets = [{"layer": "dense", "weight": "kernel", "shape": [8, 8], "changed": 64}][:told]
    outcome = Outcome(0, json.dumps({"steps": [{"targets": targets}]}), "", 0, 0)
    found = list(checks.is_negated("model.keras", "out.keras")(Room(tmp_path, server), outcome))
    assert found == ([] if told else ["reports other weights than it changed"])


def test_the_oracle_sees_damage_that_a_whole_file_hides(server: Server, tmp_path: Path) -> None:
    whole = corpus.model("tiny.keras")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (tmp_path / "model.keras").write_bytes(damaged)
    (tmp_path / "out.keras").write_bytes(whole)
    check = checks.damage_is_not_hidden("model.keras", "out.keras")
    assert list(check(Room(tmp_path, server), GOOD)) == ["hides damage of model.keras"]


def test_valid_inputs_are_right(tmp_path: Path) -> None:
    """Without a mutation nothing is a finding, and something is right: so the calls do what they are meant to."""
    server = Server(without_keras)
    for path in (*corpus.keras_files(), *corpus.whole_h5_files()):
        data = path.read_bytes()
        for each in judged(on_model(data, data, path.suffix, Random(1)), tmp_path / "case", server):
            assert (each.faults, each.verdict) == ((), Verdict.RIGHT), (path, each.call, each.outcome)
    for plan in corpus.plans():
        for each in judged(with_plan(plan.encode(), Random(1)), tmp_path / "case", server):
            assert (each.faults, each.verdict) == ((), Verdict.RIGHT), (plan, each.call, each.outcome)
    server.stop()


def test_a_case_is_known_by_its_numbers() -> None:
    for number in range(40):
        first, second = made(3, number)[1], made(3, number)[1]
        assert first.files == second.files
        assert [call.arguments for call in first.calls] == [call.arguments for call in second.calls]


def test_every_target_makes_cases() -> None:
    for target in TARGETS:
        assert target.make(Random("x")).calls


def test_digests_tell_files_from_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert digests(tmp_path)["link"] == "no file"
