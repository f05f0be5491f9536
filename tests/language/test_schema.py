"""The schema that editors use says the same as the loader, and the committed file is the schema."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, validators
from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.language import json_schema, load_text
from mutspec.language.explain import Validator
from mutspec.language.schema import op_definitions
from mutspec.language.types import OF_AMOUNT, OF_COMMON, OF_NAME, OF_TARGET, PlanValue
from mutspec.lint import RULES
from mutspec.ops import catalogue as shipped
from tests.effort import examples

CATALOGUE: Mapping[str, type[Any]] = shipped(plugins=False)
SCHEMA = json_schema(CATALOGUE)
COMMITTED = Path(__file__).parents[2] / "schemas" / "plan.schema.json"


def is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_whole)
VALIDATOR = validators.extend(Draft202012Validator, type_checker=TYPES)(SCHEMA)


def test_the_committed_schema_is_that_of_the_shipped_ops_and_lint_rules() -> None:
    schema = json_schema(CATALOGUE, {rule.name: rule.summary for rule in RULES})
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == schema, (
        "run: mutspec schema --no-plugins > schemas/plan.schema.json"
    )


def test_keys_that_many_ops_share_stand_where_their_marks_say_and_own_keys_between_them() -> None:
    class Toy(PlanValue, tag_field="op", tag="toy", frozen=True, kw_only=True):
        seed: Annotated[int, OF_COMMON] = 0
        count: Annotated[int, OF_AMOUNT, Meta(ge=0)] = 0
        own: int = 0
        target: Annotated[str, OF_TARGET, Meta(description="Where.")]
        other: Annotated[int, Meta(description="Of its own, too.")] = 0
        id: Annotated[str, OF_NAME] = ""

    keys = list(op_definitions({"toy": Toy})["toy"]["properties"])
    assert keys == ["id", "op", "target", "own", "other", "count", "seed"]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)
    for part in text.split('"$ref": "#/$defs/')[1:]:
        assert part.split('"')[0] in SCHEMA["$defs"]


@pytest.mark.parametrize("op", sorted(CATALOGUE))
def test_every_key_of_every_op_is_explained(op: str) -> None:
    definition = SCHEMA["$defs"][op]
    assert definition["description"]
    for key, schema in definition["properties"].items():
        assert schema.get("description"), f"{op}.{key}"


@pytest.mark.parametrize("op", sorted(CATALOGUE))
def test_an_editor_offers_the_op_with_its_manual(op: str) -> None:
    choice = SCHEMA["$defs"]["step"]["properties"]["op"]
    manual = dict(zip(choice["enum"], choice["markdownEnumDescriptions"], strict=True))[op]
    assert manual == inspect.cleandoc(CATALOGUE[op].__doc__ or "")


def test_a_choice_is_explained_by_its_key_not_by_its_type() -> None:
    """An editor shows the innermost description that fits."""
    choice = SCHEMA["$defs"]["gaussian_noise"]["properties"]["relative_to"]
    assert "largest |w|" in choice["description"]
    assert [set(branch) for branch in choice["anyOf"]] == [{"enum"}, {"$ref"}]


def plan_with(step: dict[str, Any]) -> dict[str, Any]:
    return {"mutspec": 1, "steps": [step]}


NOISE = {"op": "gaussian_noise", "target": "a", "std": 0.1}

ACCEPTED = {
    "plain": NOISE,
    "interpolated number": {**NOISE, "std": "${params.std}"},
    "interpolated choice": {**NOISE, "per": "${params.per}"},
    "interpolated flag": {**NOISE, "allow_empty": "${params.flag}"},
    "interpolated mapping": {**NOISE, "target": {"pick": "${params.pick}"}},
    "interpolated list entry": {**NOISE, "indices": [1, "${params.i}"]},
    "interpolation within a percentage": {**NOISE, "fraction": "${params.share}%"},
    "interpolated case": {**NOISE, "std": [{"value": "${params.std}"}]},
    "own key": {**NOISE, "x-note": {"a": 1}},
    "own key in a selector": {**NOISE, "target": {"name": "a", "x-note": 1}},
}

REFUSED = {
    "misspelt key": {**NOISE, "stdd": 1},
    "another op's key": {**NOISE, "factor": 1},
    "interpolation within a number": {**NOISE, "std": "1${params.std}"},
    "unknown resolver": {**NOISE, "std": "${oc.env:A}"},
    "interpolated id": {**NOISE, "id": "${params.id}"},
    "interpolated op": {**NOISE, "op": "${params.op}"},
    "id with an empty part": {**NOISE, "id": "a//b"},
    "bound": {**NOISE, "std": -1},
    "no op": {"target": "a"},
    "unknown op": {"op": "gausian", "target": "a"},
    "text": "gaussian_noise",
}


@pytest.mark.parametrize("step", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_schema_accepts(step: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(plan_with(step))] == []


@pytest.mark.parametrize("step", REFUSED.values(), ids=REFUSED.keys())
def test_the_schema_refuses(step: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(plan_with(step))


@pytest.mark.parametrize("key", ["params", "inputs", "steps", "mutspec"])
def test_what_is_literal_takes_no_interpolation(key: str) -> None:
    assert not VALIDATOR.is_valid({**plan_with(NOISE), key: "${params.a}"})


def test_the_users_own_keys_pass_in_the_plan() -> None:
    assert VALIDATOR.is_valid({**plan_with(NOISE), "x-anything": [1]})
    assert not VALIDATOR.is_valid({**plan_with(NOISE), "anything": [1]})


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 1.5, 2.0]),
    st.sampled_from(["a", "1%", "101%", "std", "tensor", "report", ""]),
)
NAMES = [
    "name",
    "type",
    "weights",
    "pick",
    "expect",
    "not",
    "any",
    "first",
    "min",
    "max",
    "value",
    "target",
    "x-own",
    "other",
]
NESTED = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from(NAMES), below, max_size=2),
    max_leaves=6,
)


@st.composite
def drawn_steps(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(st.sampled_from(sorted(CATALOGUE)))
    properties = SCHEMA["$defs"][op]["properties"]
    required = [key for key in SCHEMA["$defs"][op]["required"] if key != "op"]
    chosen = draw(st.lists(st.sampled_from(sorted(set(properties) - {"op", "id"})), max_size=2))
    values = {key: draw(st.sampled_from([0.5, 1, "a"])) for key in required if draw(st.integers(0, 9))}
    return {"op": op, **values, **{key: draw(NESTED) for key in chosen}}


@given(drawn_steps())
@settings(max_examples=examples(200, 60), deadline=None)
def test_types_and_schema_come_to_the_same_verdict(step: dict[str, Any]) -> None:
    """The loader trusts the types, and editors the schema; so neither may be stricter, but for what `checks` adds."""
    import msgspec

    from mutspec.language.nodes import from_plain, plain
    from mutspec.language.steps import without_extensions

    op = CATALOGUE[step["op"]]
    findings = Validator(step["op"], op_definitions({step["op"]: op}), "step").find(step)
    try:
        msgspec.convert(plain(without_extensions(from_plain(step), op)), op)
        accepted = True
    except msgspec.ValidationError:
        accepted = False
    assert accepted == (not findings), (step, findings)
    assert accepted == VALIDATOR.is_valid(plan_with(step)), step


@given(drawn_steps())
@settings(max_examples=examples(100, 40), deadline=None)
def test_what_the_loader_reads_the_schema_accepts(step: dict[str, Any]) -> None:
    text = json.dumps(plan_with(step))
    try:
        load_text(text, CATALOGUE)
    except PlanError:
        return
    assert VALIDATOR.is_valid(plan_with(step))
