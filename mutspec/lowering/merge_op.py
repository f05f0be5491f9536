"""The base class of ops that merge weights with those of other layers or models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from msgspec import Meta

from mutspec.errors import DocumentPath, PlanError, nearest
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression
from mutspec.lowering.base import WeightOp
from mutspec.lowering.context import ALL_GROUPS, LoweringContext
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.spec import TensorSpec

Source = Annotated[
    str,
    Meta(
        description="A layer or weight (`conv_1`, `teacher:conv_1/kernel`); or `<input>:` alone for the same weights "
        "of another model. `base:` is the model before the plan.",
        examples=["teacher:"],
        min_length=1,
    ),
]


def model_and_name(source: str) -> tuple[str, str]:
    """Returns the input that a source names, empty for the model itself; and the layer or weight in it."""
    model, colon, name = source.partition(":")
    return (model, name) if colon and model != "re" else ("", source)


class MergeOp(WeightOp, frozen=True, kw_only=True):
    """An op whose result depends on weights of other layers or models, entry by entry."""

    def sources(self) -> Iterator[tuple[DocumentPath, str]]:
        """Yields the sources that the step names, each with the path, relative to the step, at which it stands."""
        raise NotImplementedError

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        for path, source in self.sources():
            if model := model_and_name(source)[0]:
                yield path, model

    def partner(self, source: str, ctx: TensorContext, *path: str | int) -> Expression:
        """Returns the weight of a source that belongs to a target, in the dtype that the target is computed in.

        Arguments:
            source: as the step has it.
            ctx: the target's place.
            path: where in the step the source stands.

        Raises:
            PlanError: it does not have the weight, or has one of another shape.
        """
        context, tensor = ctx.context, ctx.tensor
        model, name = model_and_name(source)
        other = _named(context, model, name, tensor, path) if name else _same(context, model, tensor, path)
        if other.shape != tensor.shape:
            raise PlanError(
                f"{described(other, model)} does not fit {described(tensor)}",
                path=path,
                hint="choose weights of one shape, with `weights:` in the target",
            )
        refuse_kinds(other, tensor, *path, model=model)
        return context.read(other, model).cast(context.compute_dtype(tensor))


def _same(context: LoweringContext, model: str, tensor: TensorSpec, path: DocumentPath) -> TensorSpec:
    """Returns the weight of the same path in another model."""
    known: Mapping[str, TensorSpec] = context.models[model].tensor_by_path
    if tensor.path not in known:
        raise PlanError(
            f"{context.named_model(model)} has no weight `{tensor.path}`",
            path=path,
            hint="leave that weight out of the target, or name the layer to take it from",
            candidates=nearest(tensor.path, known),
        )
    return known[tensor.path]


def _named(context: LoweringContext, model: str, name: str, tensor: TensorSpec, path: DocumentPath) -> TensorSpec:
    """Returns the weight of a named layer whose path ends as the target's does; of a single weight, this."""
    chosen = context.select(name, *path, model=model, groups=ALL_GROUPS).tensors
    if len(chosen) == 1:
        return chosen[0]
    parts = tensor.path.split("/")
    for length in range(len(parts), 0, -1):
        ending = "/".join(parts[-length:])
        alike = [each for each in chosen if each.path == ending or each.path.endswith(f"/{ending}")]
        if len(alike) == 1:
            return alike[0]
    has = ", ".join(f"`{each.path}`" for each in chosen[:4])
    raise PlanError(
        f"`{name}` does not have exactly one weight that belongs to `{tensor.path}`, but {has}",
        path=path,
        hint="name one layer, or one weight",
    )


def described(tensor: TensorSpec, model: str = "", *, dtype: bool = False) -> str:
    """Returns a weight with its shape, for error messages; with its dtype where that matters too."""
    where = f"{model}:" if model else ""
    kind = f", {tensor.dtype}" if dtype else ""
    return f"`{where}{tensor.path}` ({'×'.join(map(str, tensor.shape)) or 'a number'}{kind})"


def refuse_kinds(source: TensorSpec, target: TensorSpec, *path: str | int, model: str = "") -> None:
    """Refuses two weights of different dtypes if one holds integers: no other dtype knows what these stand for.

    Arguments:
        source: where values come from.
        target: where they go.
        path: where in the step the source stands.
        model: the model that it is in.
    """
    if source.dtype != target.dtype and {source.dtype, target.dtype} & INTEGERS:
        where = f"{model}:" if model else ""
        raise PlanError(
            f"`{where}{source.path}` is {source.dtype} and `{target.path}` is {target.dtype}",
            path=path,
            hint="integers go between equal dtypes only; choose other weights",
        )
