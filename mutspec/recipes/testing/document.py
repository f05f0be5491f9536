"""The test file of a recipe, as types. Its parsing and its schema follow from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.language.declared import declared_schema
from mutspec.language.schema import Schema, schema_id
from mutspec.language.types import Count, PlanValue, Positive, Target

VERSION = 1
"""The version of the format, the value of `mutspec_test`."""


class CountRange(PlanValue, frozen=True):
    """A range of whole numbers, with its ends."""

    min: Annotated[Count | UnsetType, Meta(description="At least this many.")] = UNSET
    max: Annotated[Count | UnsetType, Meta(description="At most this many.")] = UNSET


class NumberRange(PlanValue, frozen=True):
    """A range of numbers, with its ends."""

    min: Annotated[float | UnsetType, Meta(description="At least this.")] = UNSET
    max: Annotated[float | UnsetType, Meta(description="At most this.")] = UNSET


HowMany = Count | CountRange
"""A number of things, or the range that it must be in."""
HowMuch = float | NumberRange
"""A number, or the range that it must be in."""
Names = tuple[str, ...]
Shape = tuple[Positive | None, ...]


class Port(PlanValue, frozen=True):
    """An input of a described model."""

    shape: Annotated[Shape, Meta(description="The shape of a sample, without the batch axis.")]
    dtype: Annotated[str, Meta(description="Its dtype.")] = "float32"


class DescribedModel(PlanValue, frozen=True):
    """A small model that is made for the test: of layers as plans write them, or of a configuration of Keras."""

    seed: Annotated[Count, Meta(description="The seed of its weights.")] = 0
    input: Annotated[
        Shape | dict[str, Shape | Port] | UnsetType,
        Meta(
            description="The shape of a sample, without the batch axis; of several inputs, those by name.",
            examples=[[8, 8, 3], {"image": [8, 8, 3], "word": {"shape": [5], "dtype": "int32"}}],
        ),
    ] = UNSET
    layers: Annotated[
        Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)] | UnsetType,
        Meta(
            description="Layers, each of which takes the one before it, unless its `of` names others, as in the blocks "
            "of plans. `with` stands for the inputs after the first.",
            examples=[[{"type": "Dense", "units": 3, "name": "dense_1"}]],
        ),
    ] = UNSET
    form: Annotated[Literal["functional", "sequential"], Meta(description="What kind of model the layers make.")] = (
        "functional"
    )
    config: Annotated[
        dict[str, Any] | UnsetType,
        Meta(
            description="A Functional or Sequential model as Keras serialises it: {class_name, config}.",
            examples=[{"class_name": "Sequential", "config": {"layers": []}}],
        ),
    ] = UNSET


class TargetsExpected(PlanValue, frozen=True):
    """What the steps touch: weights that they change, and layers that they edit."""

    match: Annotated[
        Target | UnsetType, Meta(description="All of these weights are touched.", examples=["dense_1/kernel"])
    ] = UNSET
    not_: Annotated[Target | UnsetType, Meta(description="None of these weights is touched.", examples=["conv*"])] = (
        field(default=UNSET, name="not")
    )
    only: Annotated[
        Target | UnsetType,
        Meta(
            description="These weights are touched, and no others.", examples=[{"type": "Dense", "weights": "kernel"}]
        ),
    ] = UNSET


class StructureExpected(PlanValue, frozen=True):
    """What becomes of the structure."""

    added: Annotated[
        Names | HowMany | UnsetType, Meta(description="The paths of the layers that are added, or their number.")
    ] = UNSET
    removed: Annotated[Names | HowMany | UnsetType, Meta(description="The layers that are removed.")] = UNSET
    changed: Annotated[
        Names | HowMany | UnsetType, Meta(description="The layers that stay, with another class, config or input.")
    ] = UNSET
    parameters: Annotated[HowMany | UnsetType, Meta(description="The parameters of the mutant.")] = UNSET
    layers: Annotated[HowMany | UnsetType, Meta(description="The layers of the mutant, inputs included.")] = UNSET
    inputs: Annotated[
        tuple[Shape, ...] | UnsetType,
        Meta(description="The shapes of the mutant's inputs, with the batch axis.", examples=[[[None, 8, 8, 1]]]),
    ] = UNSET
    outputs: Annotated[
        tuple[Shape, ...] | UnsetType,
        Meta(description="The shapes of the mutant's outputs, with the batch axis.", examples=[[[None, 10]]]),
    ] = UNSET


class LayersExpected(PlanValue, frozen=True):
    """How many layers of the mutant a target selects."""

    target: Annotated[Target, Meta(description="The layers.", examples=[{"where": {"activation": "elu"}}])]
    count: Annotated[HowMany, Meta(description="How many there must be.")]


class DiffExpected(PlanValue, frozen=True):
    """Bounds on how far each of some weights is from its base."""

    target: Annotated[Target | UnsetType, Meta(description="The weights. Default: all that model and mutant have.")] = (
        UNSET
    )
    changed: Annotated[HowMany | UnsetType, Meta(description="The entries that differ in a bit.")] = UNSET
    l2: Annotated[HowMuch | UnsetType, Meta(description="The norm of the difference.")] = UNSET
    relative_l2: Annotated[
        HowMuch | UnsetType, Meta(description="The norm of the difference, in norms of the weight before.")
    ] = UNSET
    max_abs: Annotated[HowMuch | UnsetType, Meta(description="The largest difference.")] = UNSET
    mean: Annotated[HowMuch | UnsetType, Meta(description="The mean of the difference.")] = UNSET
    std: Annotated[HowMuch | UnsetType, Meta(description="The standard deviation of the difference.")] = UNSET
    cosine: Annotated[HowMuch | UnsetType, Meta(description="The cosine of the weight before and after.")] = UNSET
    non_finite: Annotated[HowMany | UnsetType, Meta(description="The entries that are infinite or NaN.")] = UNSET


class ValuesExpected(PlanValue, frozen=True):
    """Bounds on the values of each of some weights of the mutant."""

    target: Annotated[Target | UnsetType, Meta(description="The weights. Default: all learned ones.")] = UNSET
    zeros: Annotated[HowMany | UnsetType, Meta(description="The entries that are zero.")] = UNSET
    distinct: Annotated[HowMany | UnsetType, Meta(description="How many different values there are.")] = UNSET
    min: Annotated[HowMuch | UnsetType, Meta(description="The least value.")] = UNSET
    max: Annotated[HowMuch | UnsetType, Meta(description="The greatest value.")] = UNSET
    mean: Annotated[HowMuch | UnsetType, Meta(description="The mean.")] = UNSET


class GateExpected(PlanValue, frozen=True):
    """The bounds of a measure of the mutant on the test's data."""

    metric: Annotated[str, Meta(description="A metric, `loss`, `agreement`, …, as in `require` of a sweep.")]
    min: Annotated[float | None, Meta(description="At least this.")] = None
    max: Annotated[float | None, Meta(description="At most this.")] = None
    max_drop: Annotated[float | None, Meta(description="How far it may be below that of the model.")] = None


class Snapshot(PlanValue, frozen=True):
    """What a plan made, as digests. `mutspec test --update` writes it."""

    structure: Annotated[str, Meta(description="The digest of the mutant's structure.")]
    tensors: Annotated[
        dict[str, str], Meta(description="Dtype, shape and digest of each weight that differs from the model's.")
    ] = field(default_factory=dict)


class Expected(PlanValue, frozen=True):
    """What a test expects of a mutant. A test that expects an error expects nothing else."""

    targets: Annotated[TargetsExpected | UnsetType, Meta(description="What the steps touch.")] = UNSET
    counts: Annotated[
        dict[str, HowMany] | UnsetType,
        Meta(description="How many entries each step touches, by its id.", examples=[{"gaussian_noise": 20880}]),
    ] = UNSET
    structure: Annotated[StructureExpected | UnsetType, Meta(description="Layers, parameters, ports.")] = UNSET
    layers: Annotated[
        tuple[LayersExpected, ...] | UnsetType,
        Meta(description="How many layers of the mutant targets select: their classes, arguments, places."),
    ] = UNSET
    warnings: Annotated[
        Names | UnsetType, Meta(description="A part of each warning that there is; an empty list for none.")
    ] = UNSET
    diff: Annotated[
        DiffExpected | tuple[DiffExpected, ...] | UnsetType,
        Meta(description="Bounds on how far weights are from the model's.", examples=[{"relative_l2": {"max": 0.2}}]),
    ] = UNSET
    unchanged: Annotated[
        Target | UnsetType, Meta(description="Weights that stay as they are, to the bit.", examples=["conv*"])
    ] = UNSET
    values: Annotated[
        ValuesExpected | tuple[ValuesExpected, ...] | UnsetType,
        Meta(description="Bounds on the mutant's values.", examples=[{"target": "dense_1/kernel", "zeros": 10240}]),
    ] = UNSET
    finite: Annotated[
        Literal["weights", "outputs"] | UnsetType,
        Meta(
            description="`weights`: all weights of the mutant are finite. `outputs`: so is what it predicts for random "
            "inputs, as Keras tells."
        ),
    ] = UNSET
    preserves_function: Annotated[
        bool | UnsetType,
        Meta(description="Whether the mutant predicts what the model does, for random inputs, as Keras tells."),
    ] = UNSET
    gates: Annotated[
        tuple[GateExpected, ...] | UnsetType,
        Meta(
            description="Bounds on measures on the test's `data`, as Keras tells.",
            examples=[[{"metric": "accuracy", "max_drop": 0.05}]],
        ),
    ] = UNSET
    snapshot: Annotated[
        Snapshot | UnsetType | None,
        Meta(description="The digests of what was made; `mutspec test --update` fills in an empty one."),
    ] = UNSET
    error: Annotated[
        str | UnsetType,
        Meta(description="A part of the message with which the plan is refused.", examples=["matches no layer"]),
    ] = UNSET


class Evaluate(PlanValue, frozen=True):
    """How gates are measured."""

    loss: Annotated[str | None, Meta(description="A loss of Keras, by name.")] = "crossentropy"
    metrics: Annotated[Names, Meta(description="Metrics of Keras, by name.")] = ("accuracy",)
    from_logits: Annotated[bool | Literal["auto"], Meta(description="Whether outputs are logits.")] = "auto"
    batch_size: Annotated[Positive, Meta(description="How many samples at once.")] = 512


class RecipeTest(PlanValue, frozen=True):
    """One test: a plan on a model, and what is expected of it."""

    name: Annotated[str, Meta(description="What the test shows; `-k` chooses tests by it.", min_length=1)]
    expect: Annotated[Expected, Meta(description="What must hold.")]
    description: Annotated[str, Meta(description="Why.")] = ""
    model: Annotated[
        str | UnsetType, Meta(description="A model of `models`, a shipped one, or a file. Default: that of the file.")
    ] = UNSET
    set: Annotated[
        dict[str, Any],
        Meta(description="Overrides of the plan, as `--set` takes them.", examples=[{"params.std": 0.2}]),
    ] = field(default_factory=dict)
    seed: Annotated[Count | UnsetType, Meta(description="The plan's seed.")] = UNSET
    inputs: Annotated[
        dict[str, str], Meta(description="The models of the plan's inputs, by name, named as `model` is.")
    ] = field(default_factory=dict)
    data: Annotated[
        str | UnsetType,
        Meta(
            description="Data for gates, and for steps that rank by activation: `digits`, or an .npz file.",
            examples=["digits"],
        ),
    ] = UNSET
    evaluate: Annotated[Evaluate, Meta(description="How gates are measured.")] = field(default_factory=Evaluate)


class RecipeTests(PlanValue, frozen=True):
    """The tests of a mutspec recipe."""

    mutspec_test: Annotated[Literal[1], Meta(description="The version of the format.", examples=[VERSION])]
    tests: Annotated[tuple[RecipeTest, ...], Meta(description="The tests.", min_length=1)]
    description: Annotated[str, Meta(description="What the tests are about.")] = ""
    plan: Annotated[
        str,
        Meta(description="The recipe, relative to this file. Default: the file that is called as this one."),
    ] = ""
    model: Annotated[str, Meta(description="The model of tests that do not name one.", examples=["digits"])] = ""
    models: Annotated[
        dict[str, str | DescribedModel],
        Meta(description="Models by name: files relative to this one, shipped models, or descriptions."),
    ] = field(default_factory=dict)


def schema_of_tests() -> Schema:
    """Returns the JSON schema of test files (draft 2020-12)."""
    return declared_schema(RecipeTests, "mutspec recipe test", schema_id("test", VERSION))
