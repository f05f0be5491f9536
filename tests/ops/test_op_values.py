"""What a wrong op makes is told where it makes it: with the op, the tensor, what was expected and what came."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mutspec import OpError, PlanError
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
from mutspec.execute.files import dry_run
from mutspec.language import plan_from
from mutspec.ops import catalogue
from mutspec.plugin import (
    Bits,
    Box,
    Choice,
    Computed,
    Expression,
    Listed,
    LoweringContext,
    Network,
    Op,
    Permutation,
    Run,
    Scattered,
    StridedSlices,
    StructureContext,
    StructureOp,
    TensorRef,
    Tiles,
    WeightOp,
    Window,
    Within,
    insert,
    refs,
    rename,
)
from mutspec.structure.architecture import Change, NewLayer

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"
KERNEL = "logits/kernel"  # 40×10, float32
DENSE = {"type": "Dense", "units": "same"}


def told(op: type[Op], *others: dict[str, Any]) -> str:
    """What the user is told of the bug in an op, in a plan with steps before it."""
    steps = [*others, {"op": "wrong", **({"target": KERNEL} if issubclass(op, WeightOp) else {})}]
    with pytest.raises(OpError) as caught:
        dry_run(plan_from({"steps": steps}, {**catalogue(plugins=False), "wrong": op}), DIGITS)
    (problem,) = caught.value.problems
    assert problem.path == ("steps", len(others))
    assert problem.hint.startswith("a bug")
    assert problem.hint.endswith("report it to whoever maintains `tests`")
    return problem.message


def lowering(lower: Callable[..., Any]) -> type[Op]:
    """An op on weights with this `lower`."""

    class Wrong(WeightOp, tag="wrong", frozen=True, kw_only=True):
        """Wrong."""

        def lower(self, weight: Any, ctx: Any) -> Any:
            return lower(weight, ctx)

    return Wrong


def applying(apply: Callable[[LoweringContext], Any]) -> type[Op]:
    """An op of its own kind with this `apply`."""

    class Wrong(Op, tag="wrong", frozen=True, kw_only=True):
        """Wrong."""

        def apply(self, context: LoweringContext) -> Any:
            return apply(context)

    return Wrong


def restructuring(restructure: Callable[[StructureContext], Any]) -> type[Op]:
    """An op on the architecture with this `restructure`."""

    class Wrong(StructureOp, tag="wrong", frozen=True, kw_only=True):
        """Wrong."""

        def restructure(self, ctx: StructureContext) -> None:
            restructure(ctx)

    return Wrong


def of_another_plan(weight: Expression, ctx: Any) -> Expression:
    return LoweringContext({"": ctx.context.models[""]}).read(ctx.tensor)


@pytest.mark.parametrize(
    ("lower", "words"),
    [
        (lambda weight, ctx: 0.5, "expected an expression, got a value of type float"),
        (lambda weight, ctx: None, "expected an expression, got a value of type NoneType"),
        (lambda weight, ctx: weight.max_along(1), "expected (40, 10) or a number, got (10,)"),
        (lambda weight, ctx: weight.window(0, (8, 10)), "expected (40, 10) or a number, got (8, 10)"),
        (of_another_plan, "the expression was made for another plan or model"),
    ],
)
def test_what_lower_gives_is_held_against_the_tensor(lower: Callable[..., Any], words: str) -> None:
    assert told(lowering(lower)) == f"the op `wrong` lowers `{KERNEL}` to what is not its value: {words}"


def test_a_dtype_that_does_not_exist_is_told_while_compiling() -> None:
    assert told(lowering(lambda weight, ctx: weight.cast("float99"))) == (
        "the op `wrong` fails: ValueError: there is no dtype `float99` to compute in"
    )


def tensor(context: LoweringContext, path: str = KERNEL) -> Any:
    return context.select(path, "target").tensors[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.cast("float64"), "expected (40, 10) float32, got (40, 10) float64"),
        (lambda value: value.window(1, (40, 3)), "expected (40, 10) float32, got (40, 3) float32"),
        (lambda value: value.sum(), "expected (40, 10) float32, got a number in float64"),
        (lambda value: 1.0, "expected an expression, got a value of type float"),
    ],
)
def test_what_is_bound_has_the_tensors_shape_and_dtype(change: Callable[[Expression], Any], words: str) -> None:
    def apply(context: LoweringContext) -> Any:
        kernel = tensor(context)
        return [context.bind(kernel, change(context.read(kernel)), None)]

    assert told(applying(apply)) == f"the op `wrong` makes the value of `{KERNEL}` wrong: {words}"


def test_a_tensor_that_the_model_does_not_have_any_more_is_not_bound() -> None:
    def apply(context: LoweringContext) -> Any:
        before, ctx = tensor(context), StructureContext(context, "new")
        ctx.edit("", partial(rename, name="logits", new_name="head"), renamed={"head": "logits"})
        return [context.bind(before, context.read(before) * 2.0, None)]

    what = "which is not a weight of the model that is mutated"
    assert told(applying(apply)) == f"the op `wrong` changes `{KERNEL}`, {what}"


POOL = Permutation(400, b"0" * 16)


@pytest.mark.parametrize(
    "choice",
    [
        Listed((1, 400)),
        Listed((3, 2)),
        Listed((-1,)),
        Scattered(POOL, 401, 0),
        Scattered(POOL, 3, 1),
        Window(2, 0, 1),
        Window(1, 0, 11),
        Box((40,)),
        Box((40, 11)),
        Run(5, 401),
        StridedSlices(40, 3).choose(Listed((0,))),
        StridedSlices(10, 1).choose(Listed((10,))),
        Tiles(7, 2, 2, Listed((0,))),
        Tiles(10, 4, 4, Listed((30,))),
        Within(StridedSlices(2, 5).choose(Listed((0,))), Listed((200,))),
        Bits(8, Scattered(POOL, 3, 0)),
        Computed(10**6, 3),
        "kernel",
    ],
    ids=repr,
)
def test_a_choice_of_entries_that_a_tensor_does_not_have_is_told(choice: Choice) -> None:
    def apply(context: LoweringContext) -> Any:
        return [context.bind(tensor(context), context.read(tensor(context)) * 2.0, choice)]

    assert told(applying(apply)).startswith(f"the op `wrong` chooses entries of `{KERNEL}` that it does not have: ")


@pytest.mark.parametrize(
    "choice",
    [
        Listed(()),
        Listed((0, 399)),
        Scattered(POOL, 400, 0),
        Scattered(Permutation(900, b"0" * 16), 3, 500),
        Window(1, 10, 10),
        Box((40, 10)),
        Run(0, 400),
        StridedSlices(40, 10).choose(Listed((39,))),
        StridedSlices(5, 2).choose(Listed((4,))),
        Tiles(10, 4, 4, Listed((29,))),
        Within(StridedSlices(2, 5).choose(Listed((0,))), Listed((199,))),
        Bits(8, Scattered(Permutation(3200, b"0" * 16), 3, 0)),
        None,
    ],
    ids=repr,
)
def test_a_choice_that_fits_is_taken(choice: Choice | None) -> None:
    def apply(context: LoweringContext) -> Any:
        return [context.bind(tensor(context), context.read(tensor(context)) * 2.0, choice)]

    op = {**catalogue(plugins=False), "wrong": applying(apply)}
    assert dry_run(plan_from({"steps": [{"op": "wrong"}]}, op), DIGITS).steps


def test_an_op_that_returns_nothing_is_told_what_it_must_return() -> None:
    def apply(context: LoweringContext) -> Any:
        context.bind(tensor(context), context.read(tensor(context)) * 2.0, None)

    assert told(applying(apply)) == "the op `wrong` does not return a list of what `bind` returned, which `apply` must"


def added(first_value: Callable[..., Any]) -> Callable[[StructureContext], None]:
    def restructure(ctx: StructureContext) -> None:
        (found,) = ctx.find("dense_1", "target")
        entry = ctx.new_layer(DENSE, found.owner, found.output())
        ctx.insert(entry, found.owner, [found.output()], first_value=first_value)

    return restructure


def test_the_first_value_of_a_new_weight_has_its_shape_and_dtype() -> None:
    message = told(restructuring(added(lambda new: new.full(1.0).window(0, (3, *new.shape[1:])))))
    assert message == (
        "the op `wrong` makes the first value of `wrong/kernel` wrong: expected (40, 40) float32, got (3, 40) float32"
    )
    assert "got (40, 40) float64" in told(restructuring(added(lambda new: new.full(1.0).cast("float64"))))


def test_a_new_weight_without_a_first_value_is_told() -> None:
    def restructure(ctx: StructureContext) -> None:
        (found,) = ctx.find("dense_1", "target")
        entry = ctx.new_layer(DENSE, found.owner, found.output())
        network = insert(ctx.network(""), "wrong", entry, {found.output(): TensorRef("wrong")})
        ctx.context.restructure(Change(network, new={"wrong": NewLayer("wrong/0")}))

    assert told(restructuring(restructure)) == "the op `wrong` adds the weight `wrong/kernel` without a first value"


def test_only_a_weight_that_the_step_has_added_gets_a_first_value() -> None:
    def restructure(ctx: StructureContext) -> None:
        old = tensor(ctx.context)
        ctx.context.create(old, ctx.context.read(old))

    message = told(restructuring(restructure))
    assert message == f"the op `wrong` gives `{KERNEL}` a first value, which is not a new weight of this step"


def test_a_wrong_step_before_it_is_told_instead_of_an_op_that_fails_for_that() -> None:
    ops = {**catalogue(plugins=False), "wrong": lowering(lambda weight, ctx: None)}
    steps = [{"op": "zero", "target": "nowhere"}, {"op": "wrong", "target": KERNEL}]
    with pytest.raises(PlanError) as caught:
        dry_run(plan_from({"steps": steps}, ops), DIGITS)
    assert [problem.path for problem in caught.value.problems] == [("steps", 0, "target")]


def test_a_bug_in_an_op_ends_a_call_with_exit_code_3_and_a_place_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry_point = SimpleNamespace(
        name="wrong", value="wrong", load=lambda: lowering(lambda weight, ctx: weight.max_along(1))
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry_point])
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"mutspec: 1\nsteps:\n  - op: wrong\n    target: {KERNEL}\n")
    for command in (["validate", str(plan), "--model", str(DIGITS)], ["apply", str(plan), str(DIGITS), "--dry-run"]):
        assert run(cli, command, "mutspec") == 3
        told = capsys.readouterr().err
        assert "plan.yaml:3:9" in told
        assert f"the op `wrong` lowers `{KERNEL}`" in told


def rewired(network: Network, name: str, on: TensorRef) -> Network:
    """The network, with a layer called on another tensor."""
    return replace(network, calls={**network.calls, name: ({"args": [on], "kwargs": {}},)})


def reconfigured(network: Network) -> Network:
    entry = network.layers["dense_1"]
    changed = {**entry, "config": {**entry["config"], "activation": "softplus"}}
    return network.with_layers({**network.layers, "dense_1": changed})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda network: rewired(network, "dense_1", TensorRef("dense_1", 0, 0)),
            "edits the model wrongly: the model's graph has a cycle, so no layer in it can be called first: "
            "`dense_1` → `dense_1`",
        ),
        (
            lambda network: rewired(network, "logits", TensorRef("nowhere", 0, 0)),
            "edits the model wrongly: `logits` is called on an output of `nowhere`, but the model has no such layer",
        ),
        (
            lambda network: rewired(network, "dense_1", TensorRef("nowhere", 3, 0)),
            "edits the model wrongly: `dense_1` is called on an output of `nowhere`, but the model has no such layer",
        ),
        (lambda network: replace(network, outputs=[]), "edits the model wrongly: the model has no output"),
        (reconfigured, "changes the config of `dense_1` without saying so: name it in `configured`"),
        (lambda network: None, "edits the model by a function that returns NoneType, and not a network"),
        (
            lambda network: network.with_layers({k: v for k, v in network.layers.items() if k != "bn_1"}),
            "edits the model so that `bn_1` is in only one of `layers` and `calls`",
        ),
    ],
)
def test_an_edit_that_makes_no_model_or_more_than_it_says_is_refused(edit: Callable[[Any], Any], words: str) -> None:
    assert told(restructuring(lambda ctx: ctx.edit("", edit))) == f"the op `wrong` {words}"


def test_an_edit_that_leaves_a_layer_without_use_is_refused() -> None:
    def skip(network: Network) -> Network:
        (before,) = refs(network.calls["logits"])
        (source,) = refs(network.calls[before.layer])
        return rewired(network, "logits", source)

    assert "so that nothing uses `" in told(restructuring(lambda ctx: ctx.edit("", skip)))


def test_a_layer_is_not_inserted_under_the_name_of_another() -> None:
    def insert_again(ctx: StructureContext) -> None:
        entry = ctx.new_layer(DENSE, "", TensorRef("dense_1", 0, 0))
        named = {**entry, "name": "bn_1", "config": {**entry["config"], "name": "bn_1"}}
        ctx.insert(named, "", [TensorRef("dense_1", 0, 0)])

    assert told(restructuring(insert_again)) == (
        "the op `wrong` inserts a layer under the name `bn_1`, which another layer has"
    )


def test_a_network_that_is_not_there_is_not_edited() -> None:
    said = told(restructuring(lambda ctx: ctx.edit("nope", lambda network: network)))
    assert said == "the op `wrong` edits `nope`, which is not a model in the model"


def test_an_op_that_leaves_python_does_not_end_the_run() -> None:
    assert told(lowering(lambda weight, ctx: sys.exit(0))) == "the op `wrong` fails: SystemExit: 0"


def test_an_op_without_its_method_is_told_which() -> None:
    class Wrong(WeightOp, tag="wrong", frozen=True, kw_only=True):
        """Wrong."""

    assert told(Wrong) == "the op `wrong` fails: NotImplementedError: it has no method `lower`"
