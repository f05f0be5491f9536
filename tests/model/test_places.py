"""Selecting by place in the graph: before, after and between, on graphs that are drawn and on Keras's own."""

# ruff: noqa: E501 (tables to read down)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError, Problem
from mutspec.language.types import Target
from mutspec.model.select import NothingMatched, SelectorIndex
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef
from tests.model.conftest import Zoo

KEYS = ("followed_by", "preceded_by", "downstream_of", "upstream_of")


def graph(*layers: str, class_name: str = "Functional") -> ModelSpec:
    """A spec from `path:Class:call;call` entries; a call is `producer.call,producer`."""
    specs = []
    for entry in layers:
        path, kind, calls = (*entry.split(":"), "")[:3]
        name = path.rpartition("/")[2]
        specs.append(LayerSpec(path, name, kind, (kind, "Layer"), {"name": name}, _calls(calls)))
    outputs = (TensorRef(specs[-1].name),) if class_name == "Functional" else ()
    return ModelSpec("model", class_name, tuple(specs), (), (), outputs)


def _calls(text: str) -> tuple[Call, ...]:
    refs = [[part.partition(".") for part in call.split(",")] for call in text.split(";") if call]
    return tuple(Call(tuple(TensorRef(name, int(number or 0)) for name, _, number in each)) for each in refs)


def select(spec: ModelSpec | SelectorIndex, value: Any) -> list[str]:
    """The paths of the layers that a target stands for; none if it matches none."""
    index = spec if isinstance(spec, SelectorIndex) else SelectorIndex(spec)
    try:
        return [layer.path for layer in index.layers(msgspec.convert(value, Target)).layers]
    except NothingMatched:
        return []


def refusal(spec: ModelSpec, value: Any) -> Problem:
    with pytest.raises(PlanError) as caught:
        SelectorIndex(spec).layers(msgspec.convert(value, Target))
    return caught.value.problems[0]


TOY = graph(
    "in:InputLayer",
    "conv:Conv2D:in",
    "bn:BatchNormalization:conv",
    "relu:ReLU:bn",
    "side:Conv2D:conv",
    "add:Add:relu,side",
    "bi:Bidirectional:add",
    "bi/forward:LSTM",
    "bi/forward/cell:LSTMCell",
    "encoder:Functional:bi",
    "encoder/start:InputLayer",
    "encoder/one:Dense:start",
    "encoder/two:Dense:one",
    "head:Dense:encoder",
    "shared:Dense:conv;head",
    "end:Add:shared.1,shared.0",
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"followed_by": "relu"}, ["bn"]),
        ({"preceded_by": "conv"}, ["bn", "side", "shared"]),
        ({"followed_by": {"type": "Add"}}, ["relu", "side", "shared"]),
        ({"type": "Conv2D", "followed_by": {"type": "BatchNormalization"}}, ["conv"]),
        ({"preceded_by": "in"}, ["conv"]),
        ({"downstream_of": "add", "upstream_of": "head"}, ["bi", "encoder"]),
        ({"between": ["conv", "add"]}, ["conv", "bn", "relu", "side", "add"]),
        ({"between": ["conv", "conv"]}, ["conv"]),
        ({"between": [["bn", "side"], {"type": "Add"}]}, ["bn", "relu", "side", "add", "bi", "encoder", "head", "shared", "end"]),
        ({"between": ["bn", "add"], "not": "add"}, ["bn", "relu"]),
        ({"any": [{"followed_by": "relu"}, {"preceded_by": "relu"}]}, ["bn", "add"]),
        ({"all": [{"preceded_by": "conv"}, {"upstream_of": "add"}]}, ["bn", "side"]),
        ({"type": "Add", "not": {"preceded_by": "relu"}}, ["end"]),
        ({"preceded_by": {"followed_by": "bn"}}, ["bn", "side", "shared"]),
        ({"preceded_by": {"type": "Conv2D", "pick": {"last": 1}}}, ["add"]),
        # what is called twice: `head` goes into its second call only
        ({"downstream_of": "head"}, ["shared", "end"]),
        ({"between": ["bn", "shared"]}, ["bn", "relu", "add", "bi", "encoder", "head", "shared"]),
        # what is inside a wrapper is where the wrapper is
        ({"type": "LSTM", "preceded_by": "add"}, ["bi/forward"]),
        ({"preceded_by": "bi/forward/cell"}, ["encoder"]),
        ({"type": "LSTM", "not": {"preceded_by": "add"}}, []),
        ({"type": "LSTM*", "between": ["add", "head"]}, ["bi/forward", "bi/forward/cell"]),
        # a nested model is one layer of the graph around it, and has a graph of its own
        ({"preceded_by": "bi"}, ["encoder"]),
        ({"type": "Dense", "preceded_by": "bi"}, []),
        ({"preceded_by": "encoder/one"}, ["encoder/two"]),
        ({"type": "Dense", "downstream_of": "bi"}, ["encoder/one", "encoder/two", "head", "shared"]),
        ({"type": "Dense", "not": {"downstream_of": "bi"}}, []),
        ({"downstream_of": "encoder/one"}, ["encoder/two", "head", "shared", "end"]),
        ({"upstream_of": "encoder/one", "downstream_of": "add"}, ["bi", "encoder/start"]),
        ({"between": ["bi", "encoder/one"]}, ["bi", "encoder/start", "encoder/one"]),
        ({"between": ["encoder/two", "head"]}, ["encoder/two", "head"]),
        ({"between": ["bi", "head"]}, ["bi", "encoder", "head"]),
    ],
)  # fmt: skip
def test_a_place_stands_for_these_layers(target: Any, expected: list[str]) -> None:
    assert select(TOY, target) == expected


def test_the_layers_of_a_sequential_model_follow_one_another() -> None:
    spec = graph("in:InputLayer", "a:Dense", "td:TimeDistributed", "td/dense:Dense", "b:Dense", class_name="Sequential")
    assert select(spec, {"preceded_by": "a"}) == ["td"]
    assert select(spec, {"followed_by": "b"}) == ["td"]
    assert select(spec, {"downstream_of": "in"}) == ["a", "td", "b"]
    assert select(spec, {"type": "Dense", "between": ["td", "b"]}) == ["td/dense", "b"]


def test_a_model_in_a_wrapper_has_a_graph_of_its_own_at_the_place_of_the_wrapper() -> None:
    spec = graph(
        "in:InputLayer",
        "td:TimeDistributed:in",
        "td/tail:Sequential",
        "td/tail/a:Dense",
        "td/tail/b:Dense",
        "end:Dense:td",
    )
    assert select(spec, {"preceded_by": "td/tail/a"}) == ["td/tail/b"]
    assert select(spec, {"downstream_of": "td/tail/a"}) == ["td/tail/b", "end"]
    assert select(spec, {"between": ["in", "td/tail/a"]}) == ["in", "td/tail/a"]
    assert select(spec, {"type": "Dense", "upstream_of": "end"}) == ["td/tail/a", "td/tail/b"]


@pytest.mark.parametrize(
    ("target", "path", "message"),
    [
        ({"between": ["add", "conv"]}, ("between",), "`conv` comes before `add`"),
        ({"any": ["in", {"between": ["head", "encoder/one"]}]}, ("any", 1, "between"), "`encoder/one` comes before `head`"),
        ({"between": ["relu", "side"]}, ("between",), "no path leads from `relu` to `side`"),
        ({"preceded_by": "end"}, ("preceded_by",), "nothing comes after `end`"),
        ({"upstream_of": "in"}, ("upstream_of",), "nothing comes before `in`"),
        ({"followed_by": "rellu"}, ("followed_by",), "no layer is called `rellu`"),
        ({"between": ["conv", {"type": "Convolve"}]}, ("between", 1, "type"), "the model has no layer of type `Convolve`"),
        ({"not": {"not": {"preceded_by": "nobody"}}}, ("not",), "`not` excludes all layers that the other keys match"),
        ({"type": "Dense", "followed_by": "relu"}, (), "no layer matches `type` and `followed_by` together"),
        ({"downstream_of": "head", "upstream_of": "head"}, (), "no layer matches `downstream_of` and `upstream_of` together"),
        ({"followed_by": {"name": "relu", "expect": 2}}, ("followed_by", "expect"), "expected 2 layers, but 1 matches: `relu`"),
        ({"followed_by": {"name": "rellu", "expect": 1}}, ("followed_by", "expect"), "expected 1 layer, but none match"),
        ({"followed_by": "re:(a"}, ("followed_by",), "`(a` is not a valid regular expression: missing ): (a"),
    ],
)  # fmt: skip
def test_a_place_that_no_layer_has_is_explained(target: Any, path: tuple[Any, ...], message: str) -> None:
    problem = refusal(TOY, target)
    assert (problem.message, problem.path) == (message, path)


def test_an_unknown_name_among_known_ones_is_noted() -> None:
    notes = SelectorIndex(TOY).layers(msgspec.convert({"followed_by": ["relu", "bnn"]}, Target)).notes
    assert notes == ("no layer is called `bnn`; did you mean `bn`?",)


def test_layers_that_code_calls_have_no_place() -> None:
    spec = graph("block:MyBlock", "block/dense:Dense", class_name="MyModel")
    problem = refusal(spec, {"followed_by": "dense"})
    assert problem.message == "`block/dense` is called by code, so nothing is known of what comes before and after it"


def test_a_file_of_only_weights_has_no_graph() -> None:
    spec = ModelSpec("", "", TOY.layers, (), is_partial=True)
    for target in ({"followed_by": "relu"}, {"between": ["in", "relu"]}, {"where": {"units": 3}}):
        problem = refusal(spec, target)
        assert "which a `.weights.h5` file does not have" in problem.message
        assert "--architecture" in problem.hint


# --- graphs that are drawn ----------------------------------------------------------------------------------------


@st.composite
def models(draw: st.DrawFn, path: str = "", depth: int = 2) -> list[LayerSpec]:
    """The layers of a model: each is called once or twice on outputs of earlier calls, and may be a model itself."""
    prefix = f"{path}/" if path else ""
    layers: list[LayerSpec] = []
    outputs: list[TensorRef] = []
    for number in range(draw(st.integers(2, 6))):
        name = f"{path.replace('/', '_')}l{number}"
        kinds = ("Dense", "Dense", "TimeDistributed", "Functional") if number and depth else ("Dense",)
        kind = draw(st.sampled_from(kinds))
        calls = [draw(st.lists(st.sampled_from(outputs), min_size=1, max_size=2)) for _ in range(draw(TIMES)) if number]
        outputs += [TensorRef(name, call) for call in range(max(1, len(calls)))]
        config = {"output_layers": []} if kind == "Functional" else {}
        made = tuple(Call(tuple(inputs)) for inputs in calls)
        layers.append(LayerSpec(prefix + name, name, kind, (kind, "Layer"), config, made))
        if kind == "TimeDistributed":
            layers.append(LayerSpec(f"{prefix}{name}/{WRAPPED}", WRAPPED, "Dense", ("Dense", "Layer")))
        if kind == "Functional":
            layers += draw(models(prefix + name, depth - 1))
    return layers


TIMES = st.sampled_from([1, 1, 1, 2])
WRAPPED = "wrapped"


def by_following(layers: list[LayerSpec], key: str, place: str) -> set[str]:
    """What comes before or after a node of a graph, by following its calls, and those of the models around it."""
    owner, _, name = place.rpartition("/")
    level = [layer for layer in layers if layer.path.rpartition("/")[0] == owner]
    ways = {
        ((ref.layer, ref.call), (layer.name, number))
        for layer in level
        for number, call in enumerate(layer.calls)
        for ref in call.inputs
    }
    if key in ("followed_by", "upstream_of"):
        ways = {(after, before) for before, after in ways}
    reached = {after for before, after in ways if before[0] == name}
    if key in ("downstream_of", "upstream_of"):
        for _ in ways:
            reached |= {after for before, after in ways if before in reached}
    found = {f"{owner}/{each}" if owner else each for each, _ in reached}
    return found | by_following(layers, key, owner) if owner and key.endswith("stream_of") else found


@given(models(), st.data())
def test_each_relation_is_what_following_the_calls_finds(layers: list[LayerSpec], data: st.DataObject) -> None:
    index = SelectorIndex(ModelSpec("model", "Functional", tuple(layers), (), (), (TensorRef("l0"),)))
    named = data.draw(st.lists(st.sampled_from([layer.path for layer in layers]), min_size=1, max_size=2))
    places = [path.removesuffix(f"/{WRAPPED}") for path in named]
    for key in KEYS:
        expected = set().union(*(by_following(layers, key, place) for place in places))
        if key.endswith("stream_of"):
            expected = {path for path in expected if not any(f"{path}/".startswith(f"{place}/") for place in places)}
        assert set(select(index, {key: named})) == expected


@given(models(depth=0), st.data())
def test_between_is_what_is_on_a_path(layers: list[LayerSpec], data: st.DataObject) -> None:
    first, last = (data.draw(st.sampled_from([layer.path for layer in layers])) for _ in "ab")
    after = {call: calls_after(layers, call) for call in all_calls(layers)}
    on_path = {
        name
        for start in after
        for name, number in after[start]
        if start[0] == first and any(end[0] == last for end in after[name, number])
    }
    index = SelectorIndex(ModelSpec("model", "Functional", tuple(layers), (), (), (TensorRef("l0"),)))
    if not on_path and select(index, {"downstream_of": last, "name": first}):
        with pytest.raises(PlanError, match=f"`{last}` comes before `{first}`"):
            select(index, {"between": [first, last]})
    else:
        assert set(select(index, {"between": [first, last]})) == on_path


def all_calls(layers: list[LayerSpec]) -> list[tuple[str, int]]:
    return [(layer.name, number) for layer in layers for number in range(max(1, len(layer.calls)))]


def calls_after(layers: list[LayerSpec], start: tuple[str, int]) -> set[tuple[str, int]]:
    """A call, and those that use what comes from it. Layers are in the order of their calls only by chance."""
    found = {start}
    for _ in all_calls(layers):
        for layer in layers:
            for number, call in enumerate(layer.calls):
                if any((ref.layer, ref.call) in found for ref in call.inputs):
                    found.add((layer.name, number))
    return found


# --- Keras's own graphs -------------------------------------------------------------------------------------------


def keras_ways(model: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The pairs of layers of which the second is called on an output of the first, at every depth."""
    import keras

    for layer in model._operations:
        inside = f"{path}/{layer.name}" if path else layer.name
        if isinstance(layer, keras.Sequential):
            layer = layer._functional
        if isinstance(layer, keras.Model) and hasattr(layer, "_operations"):
            yield from keras_ways(layer, inside)
    made = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for node in (node for nodes in model._nodes_by_depth.values() for node in nodes):
        for before in node.parent_nodes:
            if id(before) in made:
                names = (before.operation.name, node.operation.name)
                yield tuple(f"{path}/{name}" if path else name for name in names)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["residual", "operators", "multiple_io", "nested", "siamese", "transformer", "gru"])
def test_neighbours_are_those_of_keras(zoo: Zoo, name: str) -> None:
    index = SelectorIndex(zoo[name].live.spec)
    model = zoo[name].live.model
    ways = set(keras_ways(model._functional if hasattr(model, "_functional") else model))
    nodes = {path for way in ways for path in way}
    assert nodes <= {layer.path for layer in zoo[name].live.spec.layers}
    for path in nodes:
        exact = path if "/" in path else {"all": [path, {"not": f"*/{path}"}]}
        assert set(select(index, {"followed_by": exact})) == {before for before, after in ways if after == path}
        assert set(select(index, {"preceded_by": exact})) == {after for before, after in ways if before == path}


def test_a_step_and_its_values_go_by_place_and_argument(zoo: Zoo) -> None:
    import mutspec

    plan = mutspec.plan(
        {
            "mutspec": 1,
            "steps": [
                {
                    "op": "fill",
                    "target": {"where": {"filters": {"min": 1}}, "weights": "kernel"},
                    "value": [{"target": {"followed_by": {"type": "BatchNormalization"}}, "value": 2}, {"value": 3}],
                }
            ],
        }
    )
    model = zoo["residual"].live.model
    mutant = mutspec.apply(plan, model)
    ways = set(keras_ways(model))
    before_norm = {before for before, after in ways if type(mutant.get_layer(after)).__name__ == "BatchNormalization"}
    filled = {each.name: set(each.kernel.numpy().ravel()) for each in mutant.layers if hasattr(each, "filters")}
    assert filled == {name: {2.0} if name in before_norm else {3.0} for name in filled}
    assert len(set(map(str, filled.values()))) == 2


def test_a_long_chain_takes_no_long_time_and_no_deep_stack() -> None:
    spec = graph("l0:InputLayer", *(f"l{number}:Dense:l{number - 1}" for number in range(1, 5000)))
    index = SelectorIndex(spec)
    assert len(select(index, {"downstream_of": "l1"})) == 4998
    assert len(select(index, {"between": ["l1", "l4000"]})) == 4000
