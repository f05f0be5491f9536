"""What targets stand for, on toy models written by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.language.types import Selector, Target
from mutspec.model.select import NothingMatched, Selection, SelectorIndex, exact_pattern
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

HANGS = 30.0
"""Seconds of processor time that nothing here comes near. How fast things are is measured in benchmarks/."""

ROLES = {
    "Dense": ("kernel", "bias"),
    "Conv2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise_kernel",),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Embedding": ("embeddings",),
    "Normalization": ("mean", "variance", "count"),
    "LSTMCell": ("kernel", "recurrent_kernel", "bias"),
    "MyLayer": ("var0",),
}
ANCESTRY = {
    "Conv2D": ("Conv2D", "BaseConv", "Layer"),
    "DepthwiseConv2D": ("DepthwiseConv2D", "BaseDepthwiseConv", "Layer"),
    "MyLayer": ("MyLayer",),
}
GROUPS = {
    **dict.fromkeys(("kernel", "recurrent_kernel", "depthwise_kernel"), Group.KERNELS),
    "bias": Group.BIASES,
    **dict.fromkeys(("gamma", "beta"), Group.NORMS),
    **dict.fromkeys(("moving_mean", "moving_variance", "mean", "variance"), Group.STATISTICS),
    "embeddings": Group.EMBEDDINGS,
    "count": Group.STATE,
    "var0": Group.OTHER,
}


def model(*layers: str | tuple[str, str, str], is_partial: bool = False) -> ModelSpec:
    """A spec from `path:Class` entries, in model order; a third part holds aliases, separated by commas."""
    layer_specs, tensor_specs = [], []
    for entry in layers:
        path, class_name, *rest = entry.split(":") if isinstance(entry, str) else entry
        aliases = tuple(rest[0].split(",")) if rest else ()
        ancestry = ANCESTRY.get(class_name, (class_name, "Layer"))
        layer_specs.append(LayerSpec(path, path.rpartition("/")[2], class_name, ancestry, aliases=aliases))
        for role in ROLES.get(class_name, ()):
            tensor_aliases = tuple(f"{alias}/{role}" for alias in aliases)
            tensor_specs.append(
                TensorSpec(f"{path}/{role}", path, role, GROUPS[role], (2,), "float32", aliases=tensor_aliases)
            )
    return ModelSpec("model", "Functional", tuple(layer_specs), tuple(tensor_specs), is_partial=is_partial)


TOY = model(
    "input:InputLayer",
    "conv_1:Conv2D",
    "bn:BatchNormalization",
    "relu:Activation",
    "depthwise:DepthwiseConv2D",
    "encoder:Functional:decoder/encoder",
    "encoder/conv_1:Conv2D:decoder/encoder/conv_1",
    "encoder/dense_1:Dense:decoder/encoder/dense_1",
    "bi:Bidirectional",
    "bi/forward:LSTM",
    "bi/forward/cell:LSTMCell",
    "bi/backward:LSTM",
    "bi/backward/cell:LSTMCell",
    "decoder:Functional",
    "norm:Normalization",
    "mine:MyLayer",
    "dense_1:Dense",
    "logits:Dense",
)
INDEX = SelectorIndex(TOY)


def target_of(value: Any) -> Target:
    """A target as a plan writes it."""
    return msgspec.convert(value, Target)


def chosen(value: Any, **options: Any) -> list[str]:
    return [tensor.path for tensor in INDEX.tensors(target_of(value), **options).tensors]


def layers_of(value: Any, **options: Any) -> list[str]:
    return [layer.path for layer in INDEX.layers(target_of(value), **options).layers]


def refusal(value: Any, select: Callable[..., Selection] = INDEX.tensors) -> Problem:
    with pytest.raises(PlanError) as caught:
        select(target_of(value))
    assert all(problem.message for problem in caught.value.problems)
    return caught.value.problems[0]


ENCODER = ["encoder/conv_1/kernel", "encoder/conv_1/bias", "encoder/dense_1/kernel", "encoder/dense_1/bias"]
CELLS = [
    f"bi/{side}/cell/{role}" for side in ("forward", "backward") for role in ("kernel", "recurrent_kernel", "bias")
]
STATISTICS = ["bn/moving_mean", "bn/moving_variance"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        # names and paths
        ("logits", ["logits/kernel", "logits/bias"]),
        ("dense_1", ["encoder/dense_1/kernel", "encoder/dense_1/bias", "dense_1/kernel", "dense_1/bias"]),
        ("encoder/dense_1", ["encoder/dense_1/kernel", "encoder/dense_1/bias"]),
        ("decoder/encoder/dense_1", ["encoder/dense_1/kernel", "encoder/dense_1/bias"]),
        ("decoder/encoder/dense_1/bias", ["encoder/dense_1/bias"]),
        ("encoder", ENCODER),
        ("decoder", ENCODER),
        ("bi", CELLS),
        ("encoder/**", ENCODER),
        ("log*", ["logits/kernel", "logits/bias"]),
        ("logit?", ["logits/kernel", "logits/bias"]),
        ("[kl]ogits", ["logits/kernel", "logits/bias"]),
        (["logits", "bn"], ["bn/gamma", "bn/beta", "logits/kernel", "logits/bias"]),
        ({"name": ["logits", "bn"]}, ["bn/gamma", "bn/beta", "logits/kernel", "logits/bias"]),
        ("re:logit.", ["logits/kernel", "logits/bias"]),
        ("re:encoder/d.*", ["encoder/dense_1/kernel", "encoder/dense_1/bias"]),
        ({"regex": "[^a-k]ogits"}, ["logits/kernel", "logits/bias"]),
        # weights by path, whatever their group
        ("bn/moving_mean", ["bn/moving_mean"]),
        ("b*/moving_*", STATISTICS),
        ("re:bn/moving_.*", STATISTICS),
        ("norm/count", ["norm/count"]),
        ("**/recurrent_kernel", ["bi/forward/cell/recurrent_kernel", "bi/backward/cell/recurrent_kernel"]),
        ("bn/*", ["bn/gamma", "bn/beta"]),
        ({"name": "bn/*", "weights": "statistics"}, STATISTICS),
        (["bn", "bn/moving_mean"], ["bn/gamma", "bn/beta", "bn/moving_mean"]),
        ({"name": "bn/moving_mean", "type": "BatchNormalization"}, ["bn/moving_mean"]),
        # types
        ({"type": "Dense", "name": "l*"}, ["logits/kernel", "logits/bias"]),
        ({"type": "Conv*", "name": "encoder/*"}, ["encoder/conv_1/kernel", "encoder/conv_1/bias"]),
        ({"type": "BaseDepthwiseConv"}, ["depthwise/depthwise_kernel"]),
        ({"type": "Bidirectional"}, CELLS),
        ({"type": "MyLayer"}, ["mine/var0"]),
        # weights
        ({"name": "bn", "weights": "moving_mean"}, ["bn/moving_mean"]),
        ({"name": "bn", "weights": "statistics"}, STATISTICS),
        ({"name": "norm", "weights": "state"}, ["norm/count"]),
        ({"name": "bi", "weights": "*kernel"}, [path for path in CELLS if path.endswith("kernel")]),
        ({"name": "bi", "weights": "kernel"}, ["bi/forward/cell/kernel", "bi/backward/cell/kernel"]),
        ({"weights": ["gamma", "count"]}, ["bn/gamma", "norm/count"]),
        # set algebra, with weights said once
        ({"all": [{"type": "Dense"}, {"weights": "bias"}]}, ["encoder/dense_1/bias", "dense_1/bias", "logits/bias"]),
        ({"all": [{"type": "BatchNormalization"}, {"weights": "statistics"}]}, STATISTICS),
        (
            {"type": "BatchNormalization", "any": [{"weights": "moving_mean"}, {"weights": "beta"}]},
            ["bn/beta", "bn/moving_mean"],
        ),
        (
            {"type": "Dense", "not": "logits"},
            ["encoder/dense_1/kernel", "encoder/dense_1/bias", "dense_1/kernel", "dense_1/bias"],
        ),
        ({"type": "Dense", "not": ["logits", "encoder"]}, ["dense_1/kernel", "dense_1/bias"]),
        ({"type": "Dense", "not": {"weights": "bias"}}, ["encoder/dense_1/kernel", "dense_1/kernel", "logits/kernel"]),
        ({"type": "Dense", "not": "logits/bias", "name": "logits"}, ["logits/kernel"]),
        ({"type": "BatchNormalization", "not": "bn/beta"}, ["bn/gamma"]),
        ({"weights": "statistics", "not": "norm"}, STATISTICS),
        ({"weights": "statistics", "any": ["norm", "bn"]}, [*STATISTICS, "norm/mean", "norm/variance"]),
        (
            {"weights": "kernels", "not": {"name": "conv_1"}},
            ["depthwise/depthwise_kernel", "encoder/dense_1/kernel"]
            + [path for path in CELLS if path.endswith("kernel")]
            + ["dense_1/kernel", "logits/kernel"],
        ),
        ({"weights": "kernels", "not": "bn/moving_mean", "type": "Conv2D"}, ["conv_1/kernel", "encoder/conv_1/kernel"]),
        ({"all": ["encoder", {"type": "Dense"}]}, ["encoder/dense_1/kernel", "encoder/dense_1/bias"]),
        ({"any": [{"type": "Embedding"}, "mine"]}, ["mine/var0"]),
        # pick
        (
            {"type": "Dense", "weights": "kernel", "pick": {"skip_last": 1}},
            ["encoder/dense_1/kernel", "dense_1/kernel"],
        ),
        ({"type": "Dense", "weights": "bias", "pick": {"first": 1}}, ["encoder/dense_1/bias"]),
        ({"weights": "statistics", "pick": {"last": 1}}, ["norm/mean", "norm/variance"]),
        (
            {"weights": "bias", "pick": {"skip_first": 1, "skip_last": 1, "first": 3, "last": 1}},
            ["bi/forward/cell/bias"],
        ),
        ({"type": ["Bidirectional", "Dense"], "pick": {"skip_first": 1, "first": 1}}, CELLS),
        (
            {"any": [{"type": "Dense", "pick": {"last": 1}}, "bn"], "weights": ["bias", "beta"]},
            ["bn/beta", "logits/bias"],
        ),
        ({"weights": "statistics", "any": [{"type": "Layer", "pick": {"first": 1}}]}, STATISTICS),
        ({"name": ["bn", "bn/moving_mean", "mine"], "pick": {"first": 1}}, ["bn/gamma", "bn/beta", "bn/moving_mean"]),
    ],
)
def test_a_target_stands_for_these_weights(target: Any, expected: list[str]) -> None:
    assert chosen(target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("encoder", ["encoder"]),
        ("dense_1", ["encoder/dense_1", "dense_1"]),
        ("relu", ["relu"]),
        ({"type": "LSTM*"}, ["bi/forward", "bi/forward/cell", "bi/backward", "bi/backward/cell"]),
        ({"type": "Dense", "not": "logits"}, ["encoder/dense_1", "dense_1"]),
        ({"type": ["Functional", "Bidirectional"], "weights": "recurrent_kernel"}, ["bi"]),
        ({"weights": "norms"}, ["bn"]),
        ({"not": {"type": "Layer"}}, ["mine"]),
        ({"all": [{"type": "Dense"}, "re:.*_1"]}, ["encoder/dense_1", "dense_1"]),
        ({"type": "Dense", "pick": {"last": 2}}, ["dense_1", "logits"]),
        ({"pick": {"first": 2}}, ["input", "conv_1"]),
    ],
)
def test_a_target_stands_for_these_layers(target: Any, expected: list[str]) -> None:
    assert layers_of(target) == expected


@given(st.lists(st.text("a\n*?[]${}.", min_size=1, max_size=4), min_size=1, max_size=3, unique=True))
def test_the_exact_pattern_of_a_name_matches_it_alone_whatever_is_in_it(names: list[str]) -> None:
    index = SelectorIndex(model(*(f"{name}:Dense" for name in names)))
    for name in names:
        assert [layer.name for layer in index.layers(Selector(name=exact_pattern(name))).layers] == [name]


def test_the_default_weights_are_all_learned_ones_and_a_caller_may_ask_for_others() -> None:
    learned = [tensor.path for tensor in TOY.tensors if tensor.group in LEARNED]
    assert chosen({}) == learned
    assert not {"bn/moving_mean", "norm/mean", "norm/count"} & set(learned)
    assert chosen("bn", default_groups=frozenset({Group.STATISTICS})) == STATISTICS
    assert chosen("bn", default_groups=frozenset(Group)) == ["bn/gamma", "bn/beta", *STATISTICS]


def test_selection_layers_are_those_that_own_the_weights() -> None:
    selection = INDEX.tensors(target_of(["bi", "bn"]))
    assert [layer.path for layer in selection.layers] == ["bn", "bi/forward/cell", "bi/backward/cell"]


def test_layers_bring_the_weights_below_them() -> None:
    selection = INDEX.layers(target_of(["encoder", "bn"]))
    assert [tensor.path for tensor in selection.tensors] == ["bn/gamma", "bn/beta", *STATISTICS, *ENCODER]


def test_a_shared_layer_is_counted_once_and_a_note_says_so() -> None:
    assert INDEX.tensors("encoder/dense_1").notes == ("`encoder` is reached by 2 paths; counted once",)
    assert INDEX.tensors("encoder").notes == ("`encoder` is reached by 2 paths; counted once",)
    assert INDEX.layers("encoder").notes == ("`encoder` is reached by 2 paths; counted once",)
    assert INDEX.tensors("bn").notes == ()


def test_a_tied_weight_is_found_from_both_layers() -> None:
    spec = model("embed:Embedding", "unembed:Layer")
    tied = replace(spec.tensors[0], aliases=("unembed/embeddings",))
    index = SelectorIndex(ModelSpec("m", "Functional", spec.layers, (tied,)))
    for target in ("embed", "unembed", "unembed/embeddings"):
        selection = index.tensors(target)
        assert [tensor.path for tensor in selection.tensors] == ["embed/embeddings"]
        assert selection.notes == ("`embed/embeddings` is reached by 2 paths; counted once",)


def test_an_unknown_name_among_known_ones_is_noted() -> None:
    assert INDEX.tensors(target_of(["logits", "desne_1"])).notes == (
        "no layer is called `desne_1`; did you mean `dense_1`?",
    )
    assert INDEX.tensors(target_of({"type": "Dense", "not": "logtis"})).notes == (
        "no layer is called `logtis`; did you mean `logits`?",
        "`encoder` is reached by 2 paths; counted once",
    )


def test_an_unknown_class_or_role_among_known_ones_is_noted_and_a_known_one_that_is_not_there_is_not() -> None:
    target = {"type": ["Dense", "Conv3D", "Dens"], "weights": ["kernel", "embeddings", "statistics", "kernl"]}
    assert INDEX.tensors(target_of(target)).notes[:2] == (
        "no layer is of type `Dens`; did you mean `Dense`?",
        "no weight has the role `kernl`; did you mean `kernel`?",
    )


def test_random_pick_asks_for_indices_among_the_layers_left_and_keeps_model_order() -> None:
    asked = []

    def draw(total: int, count: int) -> list[int]:
        asked.append((total, count))
        return [2, 0]

    target = target_of({"weights": "bias", "pick": {"skip_first": 1, "random": 2}})
    selection = INDEX.tensors(target, random=draw)
    assert [tensor.path for tensor in selection.tensors] == ["encoder/conv_1/bias", "bi/forward/cell/bias"]
    assert asked == [(6, 2)]
    assert "random stream" in refusal({"weights": "bias", "pick": {"random": 2}}).message


@pytest.mark.parametrize(
    ("target", "path", "message", "candidate"),
    [
        ("logitz", (), "no layer is called `logitz`", "logits"),
        ("encoder/dense_9", (), "no layer or weight has the path `encoder/dense_9`", "encoder/dense_1"),
        ("wrong/logits", (), "no layer or weight has the path `wrong/logits`", "logits"),
        ("re:zzz.*", (), "no layer has a name that matches `zzz.*`", None),
        ("re:(a", (), "`(a` is not a valid regular expression: missing ): (a", None),
        ({"regex": ["a", "a)(b"]}, ("regex", 1), "`a)(b` is not a valid regular expression: unexpected ): a)(b", None),
        ({"any": ["a", {"name": "[z-a]"}]}, ("any", 1, "name"), "`[z-a]` is not a valid glob", None),
        ("relu", (), "`relu` has no weights", None),
        ("norm", (), "`norm` has no learned weights, only `count`, `mean`, `variance`", None),
        (["logitz", "bm"], (0,), "no layer is called `logitz`", "logits"),
        ({"name": "logitz", "type": "Dense"}, ("name",), "no layer is called `logitz`", "logits"),
        ({"name": ["logitz"]}, ("name", 0), "no layer is called `logitz`", "logits"),
        ({"type": "Danse"}, ("type",), "the model has no layer of type `Danse`", "Dense"),
        ({"type": "Dense", "name": "bn"}, (), "no layer matches `name` and `type` together", None),
        ({"weights": "kernle"}, ("weights",), "the model has no weights `kernle`", "kernel"),
        (
            {"name": "conv_1", "weights": "gamma"},
            ("weights",),
            "2 layers match, but have no `gamma`, only `bias`, `kernel`",
            "bias",
        ),
        ({"name": "bn/beta", "weights": "kernels"}, ("weights",), "what matches has no `kernels`, only `beta`", "beta"),
        ({"any": ["a", {"type": "B"}]}, ("any", 0), "no layer is called `a`", None),
        ({"all": [{"type": "Dense"}, {"name": "logitz"}]}, ("all", 1, "name"), "no layer is called `logitz`", "logits"),
        ({"all": ["bn", "logits"]}, ("all",), "no weight matches `all` and the other keys together", None),
        ({"type": "Dense", "any": ["bn"]}, ("any",), "no weight matches `any` and the other keys together", None),
        ({"name": "bn", "not": {"type": "BatchNormalization"}}, ("not",), "`not` excludes all weights", None),
        (
            {"type": "Dense", "pick": {"skip_first": 3}},
            ("pick",),
            "`pick` leaves none of the 3 layers that match",
            None,
        ),
        ({"type": "Dense", "pick": {"first": 0}}, ("pick",), "`pick` leaves none of the 3 layers that match", None),
        ([], (), "an empty list matches nothing", None),
        (
            {"name": "bn", "weights": "statistics", "all": [{"weights": "gamma"}]},
            ("all",),
            "no weight matches `all`",
            None,
        ),
    ],
)
def test_nothing_matched_says_where_and_why(
    target: Any, path: tuple[Any, ...], message: str, candidate: str | None
) -> None:
    problem = refusal(target)
    assert problem.path == path
    assert message in problem.message
    if candidate is not None:
        assert problem.candidates[0] == candidate


def test_hints_tell_a_class_a_role_and_a_regex_from_a_name() -> None:
    assert "{type: Dense}" in refusal("Dense").hint
    assert "{weights: kernel}" in refusal("kernel").hint
    assert "under `regex`" in refusal({"name": "re:conv"}).hint
    assert "weights: count" in refusal("norm").hint


def test_a_weight_is_not_a_layer() -> None:
    problem = refusal("dense_1/kernel", INDEX.layers)
    assert problem.message == "`dense_1/kernel` is the path of a weight, but a layer is needed"
    assert problem.candidates == ("dense_1",)


def test_types_in_a_file_of_weights_alone_are_explained() -> None:
    spec = ModelSpec("", "", (LayerSpec("dense", "dense", "", ()),), TOY.tensors[:1], is_partial=True)
    problem = refusal({"type": "Dense"}, SelectorIndex(spec).tensors)
    assert "--architecture" in problem.hint


def test_an_allowed_empty_target_costs_no_explanation() -> None:
    with pytest.raises(NothingMatched) as caught:
        INDEX.tensors("logitz")
    assert caught.value._problems == ()
    assert str(caught.value) == "no layer is called `logitz`"


@pytest.mark.parametrize("expect", [3, {"min": 3}, {"max": 3}, {"min": 1, "max": 4}])
def test_a_contract_that_holds_changes_nothing(expect: Any) -> None:
    assert chosen({"type": "Dense", "expect": expect}) == chosen({"type": "Dense"})


@pytest.mark.parametrize(
    ("expect", "wanted"),
    [
        (2, "2 layers"),
        ({"min": 4}, "at least 4 layers"),
        ({"max": 1}, "at most 1 layer"),
        ({"min": 1, "max": 2}, "1 to 2 layers"),
    ],
)
def test_a_broken_contract_lists_the_layers(expect: Any, wanted: str) -> None:
    problem = refusal({"type": "Dense", "expect": expect})
    assert problem.message == f"expected {wanted}, but 3 match: `encoder/dense_1`, `dense_1`, `logits`"
    assert problem.path == ("expect",)


def test_contracts_count_what_was_selected_after_pick() -> None:
    assert chosen({"type": "Bidirectional", "expect": 1}) == CELLS
    assert chosen({"type": "Dense", "pick": {"last": 1}, "expect": 1}) == ["logits/kernel", "logits/bias"]
    assert chosen({"weights": "recurrent_kernel", "expect": 2})


def test_a_contract_on_nothing_is_broken_even_where_empty_is_allowed_and_says_why() -> None:
    with pytest.raises(PlanError) as caught:
        INDEX.tensors(target_of({"name": "logitz", "expect": 1}))
    assert not isinstance(caught.value, NothingMatched)
    assert [problem.message for problem in caught.value.problems] == [
        "expected 1 layer, but none match",
        "no layer is called `logitz`",
    ]
    assert refusal({"any": ["bn", {"type": "Dense", "expect": 9}]}).path == ("any", 1, "expect")


# --- laws -------------------------------------------------------------------------------------------------------------

CLAIMS = st.one_of(
    st.builds(
        lambda name: Selector(name=name),
        st.sampled_from(["dense_1", "conv*", "encoder", "bi", "**/bias", "bn/moving_mean", "bn"]),
    ),
    st.builds(
        lambda type: Selector(type=type),
        st.sampled_from(["Dense", "*Conv*", "Layer", "LSTM", "Functional", "BatchNormalization"]),
    ),
    st.builds(
        lambda weights: Selector(weights=weights), st.sampled_from(["kernels", "bias", "statistics", "*_kernel"])
    ),
    st.sampled_from(
        [Selector(), Selector(type="Dense", weights="bias"), Selector(regex=".*_1"), Selector(name="nobody")]
    ),
)
TARGETS = st.recursive(
    CLAIMS,
    lambda inner: st.one_of(
        st.builds(lambda *targets: Selector(any=targets), inner, inner),
        st.builds(lambda *targets: Selector(all=targets), inner, inner),
        st.builds(lambda target: Selector(not_=target), inner),
        st.builds(lambda target: Selector(weights="kernels", any=(target,)), inner),
    ),
    max_leaves=4,
)
LEARNED_PATHS = frozenset(tensor.path for tensor in TOY.tensors if tensor.group in LEARNED)
MODEL_ORDER = [tensor.path for tensor in TOY.tensors]
LAYER_ORDER = [layer.path for layer in TOY.layers]


def tensors_or_none(target: Target) -> list[str]:
    try:
        return [tensor.path for tensor in INDEX.tensors(target).tensors]
    except NothingMatched:
        return []


def layers_or_none(target: Target) -> list[str]:
    try:
        return [layer.path for layer in INDEX.layers(target).layers]
    except NothingMatched:
        return []


@given(TARGETS)
def test_what_matches_nothing_always_has_a_reason(target: Selector) -> None:
    for select in (INDEX.tensors, INDEX.layers):
        try:
            assert select(target).layers
        except NothingMatched as error:
            refused = error
        else:
            continue
        assert all(problem.message for problem in refused.problems)
        assert refused.problems


@given(TARGETS)
def test_not_not_is_the_same_over_learned_weights(target: Selector) -> None:
    twice = set(tensors_or_none(Selector(not_=Selector(not_=target))))
    assert twice & LEARNED_PATHS == twice
    assert twice >= set(tensors_or_none(target)) & LEARNED_PATHS
    assert set(layers_or_none(Selector(not_=Selector(not_=target)))) == set(layers_or_none(target))


@given(TARGETS)
def test_a_target_and_its_complement_part_the_learned_weights(target: Selector) -> None:
    inside, outside = set(tensors_or_none(target)) & LEARNED_PATHS, set(tensors_or_none(Selector(not_=target)))
    assert inside | outside == LEARNED_PATHS
    assert not inside & outside


@given(TARGETS, TARGETS)
def test_de_morgan(one: Selector, other: Selector) -> None:
    for select in (tensors_or_none, layers_or_none):
        neither = select(Selector(not_=Selector(any=(one, other))))
        assert neither == select(Selector(all=(Selector(not_=one), Selector(not_=other))))
        not_both = select(Selector(not_=Selector(all=(one, other))))
        assert not_both == select(Selector(any=(Selector(not_=one), Selector(not_=other))))


@given(TARGETS, TARGETS)
def test_a_list_and_any_are_the_union(one: Selector, other: Selector) -> None:
    for select in (tensors_or_none, layers_or_none):
        union = set(select(one)) | set(select(other))
        assert set(select((one, other))) == set(select(Selector(any=(one, other)))) == union


@given(TARGETS)
def test_results_come_in_model_order_each_once(target: Selector) -> None:
    assert (paths := tensors_or_none(target)) == [path for path in MODEL_ORDER if path in set(paths)]
    assert (paths := layers_or_none(target)) == [path for path in LAYER_ORDER if path in set(paths)]


@given(st.dictionaries(st.sampled_from(["skip_first", "skip_last", "first", "last"]), st.integers(0, 5)))
def test_pick_slices_the_layers_in_the_documented_order(pick: dict[str, int]) -> None:
    owners = list(dict.fromkeys(tensor.layer for tensor in TOY.tensors if tensor.group is Group.KERNELS))
    kept = owners[pick.get("skip_first", 0) :]
    kept = kept[: len(kept) - min(pick.get("skip_last", 0), len(kept))]
    kept = kept[: pick.get("first", len(kept))]
    kept = kept[len(kept) - min(pick.get("last", len(kept)), len(kept)) :]
    picked = tensors_or_none(target_of({"weights": "kernels", "pick": pick}))
    assert picked == [tensor.path for tensor in TOY.tensors if tensor.group is Group.KERNELS and tensor.layer in kept]


# --- speed ------------------------------------------------------------------------------------------------------------

LARGE = model(*(f"block_{i // 10}/conv_{i}:Conv2D" if i % 2 else f"dense_{i}_{i % 7}:Dense" for i in range(1000)))


@pytest.mark.parametrize(
    "target",
    [
        lambda i: f"dense_{i // 2 * 2}_{i // 2 * 2 % 7}",
        lambda i: f"*_{i}*",
        lambda i: f"block_{i // 10}/*",
        lambda i: f"re:.*[a-z]_{i}.*",
        lambda i: {"type": "D*", "weights": "kernel", "pick": {"skip_first": i % 400}},
        lambda i: {"type": ["Dense", "Conv*"], "weights": "kernels", "not": {"name": f"conv_{i // 2 * 2 + 1}"}},
        lambda i: {"name": f"{'dc'[i % 2]}*", "pick": {"skip_last": 1}, "expect": {"min": 1}},
    ],
)
def test_a_thousand_steps_select_from_a_thousand_layers(target: Callable[[int], Any]) -> None:
    targets = [target_of(target(i)) for i in range(1000)]
    begin = time.process_time()
    index = SelectorIndex(LARGE)
    for value in targets:
        assert index.tensors(value).tensors
    assert time.process_time() - begin < HANGS


def test_a_pattern_of_any_size_is_refused_before_it_is_compiled() -> None:
    from mutspec.model._patterns import BadPattern, NameTable

    names = NameTable({"dense": 1})
    for pattern in ("a" * 5000, "(.{1000}){1000}", r"\pL{1000}"):
        with pytest.raises(BadPattern):
            names.regex(pattern)
    with pytest.raises(BadPattern, match="--limit pattern_characters="):
        names.glob("?" + "a" * 4998 + "?")
