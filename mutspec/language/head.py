"""The top-level keys of a plan, as types. Their parsing and their part of the schema follow from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.language.types import Count, NonFinite, PlanValue

LANGUAGE_VERSION = 1


class InputDeclaration(PlanValue, frozen=True, kw_only=True):
    """Another model that the steps may use. The call says which file it is: `--input <name>=MODEL`."""

    description: Annotated[str, Meta(description="What the model is for.")] = ""


class UseStep(PlanValue, frozen=True, kw_only=True):
    """A step that stands for the steps of another recipe."""

    id: Annotated[
        str,
        Meta(description="The step's name, under which the recipe's steps get theirs. Default: the recipe's name."),
    ] = ""
    use: Annotated[
        str,
        Meta(
            description="The recipe: a file relative to this plan, with or without `.yaml`; else the name of a recipe "
            "that ships with mutspec.",
            examples=["noise/dense_noise"],
            min_length=1,
        ),
    ]
    with_: Annotated[
        dict[str, Any], Meta(description="Values of the recipe's parameters.", examples=[{"std": 0.02}])
    ] = field(default_factory=dict, name="with")
    seed: Annotated[
        Count | UnsetType,
        Meta(description="The seed of those of its steps that state none. Default: the plan's; never the recipe's."),
    ] = UNSET
    inputs: Annotated[
        dict[str, str],
        Meta(
            description="For inputs of the recipe, the input of this plan that is meant. Default: that of its name.",
            examples=[{"teacher": "large"}],
        ),
    ] = field(default_factory=dict)


class LintSettings(PlanValue, frozen=True, kw_only=True):
    """What `mutspec validate` need not find."""

    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="The names of lint rules that the plan may break: docs/lint.md has them.",
            examples=[["missing-expect"]],
        ),
    ] = ()


class PlanHead(PlanValue, frozen=True, kw_only=True):
    """A mutspec plan: the steps that turn a neural network into a mutant."""

    mutspec: Annotated[Literal[1], Meta(description="The version of the plan language.", examples=[1])]
    name: Annotated[str, Meta(description="The plan's name. Default: the file's name without its ending.")] = ""
    description: Annotated[str, Meta(description="What the plan is for.")] = ""
    seed: Annotated[
        Count, Meta(description="The seed of all random streams; a step may have its own.", examples=[7])
    ] = 0
    params: Annotated[
        dict[str, Any],
        Meta(
            description="Literals that the steps use as `${params.<name>}`, and that `--set params.<name>=…` or a "
            "sweep may override.",
            examples=[{"std": 0.01}],
        ),
    ] = field(default_factory=dict)
    inputs: Annotated[
        dict[str, InputDeclaration | None],
        Meta(
            description="Other models that the steps use, by name. The call binds them: `--input teacher=t.keras`. "
            "`base` is the model before the plan, unless an input is called so.",
            examples=[{"teacher": {}}],
        ),
    ] = field(default_factory=dict)
    blocks: Annotated[
        dict[str, Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]],
        Meta(
            description="Small graphs of layers, by name; steps use them as `{block: <name>}` in place of a layer. In "
            "a block, a layer takes the one before it, unless `of` names others of the block, or `input`.",
            examples=[{"head": [{"type": "Dropout", "rate": 0.5}, {"type": "Dense", "units": 10}]}],
        ),
    ] = field(default_factory=dict)
    metadata: Annotated[dict[str, Any], Meta(description="Free: owner, ticket, whatever you like.")] = field(
        default_factory=dict
    )
    non_finite: Annotated[
        NonFinite | UnsetType,
        Meta(
            description="What to do when a finite entry becomes infinite or NaN, for steps that do not say. "
            "Default: error."
        ),
    ] = UNSET
    lint: Annotated[
        LintSettings,
        Meta(description="What `mutspec validate` need not find.", examples=[{"allow": ["missing-expect"]}]),
    ] = field(default_factory=LintSettings)
    steps: Annotated[tuple[Any, ...], Meta(description="What is done to the model, in order.", min_length=1)]
