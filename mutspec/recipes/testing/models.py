"""The small models that tests describe. mutspec makes them as it makes mutants: by steps on a model without layers.

So they need no TensorFlow, unless only Keras knows a layer, and their weights are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mutspec.errors import DocumentPath, ModelError, MutspecError, PlanError, Problem
from mutspec.execute.files import apply, dry_run
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language import plan_from
from mutspec.language.steps import op_name
from mutspec.language.types import or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.files.empty_model import write_empty_model
from mutspec.ops import catalogue
from mutspec.recipes.testing.document import DescribedModel, Port, Shape
from mutspec.structure.layer_config import layer_entry
from mutspec.structure.network_config import network_of

MOST_PARAMETERS = 1_000_000
"""The most parameters of a described model. Tests are to be quick, and a description of a line can ask for any size."""
MOST_LAYERS = 200
"""The most layers of a described model."""

_INPUT = "input"
"""The name of the only input of a model of layers, unless the description has a name for it."""
_BODY = "body"


def make_model(described: DescribedModel, name: str, path: Path) -> None:
    """Makes a described model.

    Arguments:
        described: the description.
        name: its name in the test file, which becomes the model's.
        path: the `.keras` file to write.

    Raises:
        PlanError: it cannot be made; the paths of the problems begin at the description.
        EnvironmentProblem: Keras is needed and not installed.
    """
    recipe = _of_config(described.config) if isinstance(described.config, dict) else _of_layers(described)
    empty = path.with_name(f"{path.stem}.empty.keras")
    write_empty_model(empty, recipe.name or name, recipe.inputs)
    document = {"name": name, "seed": described.seed, "steps": list(recipe.steps)}
    try:
        plan = plan_from(document, {**catalogue(), op_name(UseConfiguration): UseConfiguration})
        size = dry_run(plan, empty).parameters_after
        if size > MOST_PARAMETERS:
            hint = "name a model file instead"
            raise PlanError(
                f"the model has {size:,} parameters, and a described one has at most {MOST_PARAMETERS:,}", hint=hint
            )
        apply(plan, empty, path)
    except (PlanError, MutspecError) as error:
        raise type(error)(_in_description(problem, recipe.layers_at) for problem in error.problems) from None
    finally:
        empty.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Recipe:
    """The steps that make a model.

    Arguments:
        name: the model's name, if the description has one.
        inputs: the types of its inputs, by name.
        steps: the steps of a plan.
        layers_at: the path in the description of what the first step has under `layers` or `model`.
    """

    name: str
    inputs: Mapping[str, TensorType]
    steps: tuple[dict[str, Any], ...]
    layers_at: DocumentPath


def _in_description(problem: Problem, layers_at: DocumentPath) -> Problem:
    """Returns a problem of the steps with its path in the description."""
    path = problem.path
    if path[:2] == ("steps", 0) and len(path) > 2:
        path = (*layers_at, *path[3:]) if path[2] in ("layers", "model") else layers_at
    else:
        path = layers_at
    return replace(problem, path=path, place=None)


def _of_layers(described: DescribedModel) -> _Recipe:
    layers = or_default(described.layers, ())
    if len(layers) > MOST_LAYERS:
        raise _too_many(layers, "layers")
    inputs = _inputs(described)
    first, *others = inputs
    step: dict[str, Any] = {"op": "insert_layer", "id": "layer", "after": first, "layers": list(layers)}
    steps = [{**step, "with": others} if others else step]
    if described.form == "sequential":
        steps.append({"op": "convert", "to": "sequential"})
    return _Recipe("", inputs, tuple(steps), ("layers",))


def _inputs(described: DescribedModel) -> dict[str, TensorType]:
    given = described.input
    if isinstance(given, dict):
        return {name: _type_of(port) for name, port in given.items()}
    return {_INPUT: _type_of(or_default(given, ()))}


def _type_of(port: Shape | Port) -> TensorType:
    return TensorType((None, *port.shape), port.dtype) if isinstance(port, Port) else TensorType((None, *port))


def _of_config(entry: dict[str, Any]) -> _Recipe:
    """Returns the step for a configuration of Keras.

    Raises:
        PlanError: it is not that of a Functional or Sequential model.
    """
    kind, config = entry.get("class_name"), entry.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if kind not in ("Functional", "Sequential") or not isinstance(config, dict) or not isinstance(layers, list):
        hint = "write what `model.to_json()` gives: {class_name: Functional, config: {layers: […]}}"
        message = "the configuration is not that of a Functional or Sequential model"
        raise PlanError(message, path=("config",), hint=hint)
    if len(layers) > MOST_LAYERS:
        raise _too_many(layers, "config")
    model = {"class_name": kind, "config": config}
    step = {"op": op_name(UseConfiguration), "model": model}
    return _Recipe(str(config.get("name") or ""), {_INPUT: TensorType((None, 1))}, (step,), ("config",))


def _too_many(layers: Sequence[Any], key: str) -> PlanError:
    return PlanError(
        f"the model has {len(layers):,} layers, and a described one has at most {MOST_LAYERS}", path=(key,)
    )


class UseConfiguration(StructureOp, tag="use_configuration", frozen=True, kw_only=True):
    """Puts the layers of a serialised model in the place of all that the model has. It is not in the catalogue."""

    model: dict[str, Any]

    def restructure(self, ctx: StructureContext) -> None:
        try:
            entry = layer_entry(self.model, name=ctx.network("").name, like={}, width=None)
            network = network_of(entry)
        except PlanError as error:
            raise PlanError(problem.below("model") for problem in error.problems) from None
        except ModelError as error:
            raise PlanError(replace(problem, path=("model",)) for problem in error.problems) from None
        added = {name: AddedLayer(layer, at=("model",)) for name, layer in network.layers.items()}
        ctx.edit("", lambda _: network, key="model", added=added)
