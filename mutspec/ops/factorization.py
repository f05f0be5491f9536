"""Factorisation: a layer in two of lower rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import prod, sqrt
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.expression import Expression
from mutspec.language.types import Percent, Share, Target, exact_share
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.convolutions import linear_layer, sources_of
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.new_layer import AddedLayer, FirstValue
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorRef, TensorSpec
from mutspec.structure import edits
from mutspec.structure.network import Entry, Network
from mutspec.text.words import count as counted


class Method(StrEnum):
    """How a kernel is read as matrices."""

    SVD = "svd"
    DEPTHWISE_SEPARABLE = "depthwise_separable"


_CLASSES = {
    Method.SVD: ("Dense", "Conv1D", "Conv2D", "Conv3D"),
    Method.DEPTHWISE_SEPARABLE: ("Conv1D", "Conv2D"),
}
_OF_FULL_RANK = SamePredictions(1e-4)
_ROUNDING = 1e-12
"""What a sum of energies may be short of the share of their sum that is asked for."""


class FactorizeLayer(StructureOp, tag="factorize_layer", frozen=True, kw_only=True):
    """Split Dense layers and convolutions in two of lower rank, which compute nearly the same with fewer weights.

    `svd`: the kernel, as a matrix from inputs to outputs, becomes a product of two, by a truncated singular value
    decomposition. The new layer has `rank` units or filters, and the window, strides and padding of a convolution. It
    has neither bias nor activation. The layer itself follows, with its name, bias and activation, and a window of 1.
    `depthwise_separable`: each input channel gets `rank` windows, in a new depthwise convolution, and the layer itself
    combines them with a window of 1. Groups stay groups.

    The rank is given, or the least that keeps a part of the energy: the sum of squares of the kernel. The report says
    the error, for which values of the kernels are read. The last bits of the new kernels depend on the machine.

    Literature: low-rank approximation of convolutions (Denton et al. 2014; Jaderberg et al. 2014; Zhang et al. 2016);
    `depthwise_separable` after network decoupling (Guo et al. 2018).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "dense_1", "rank": 16})

    target: Annotated[Target, Meta(description="The layers: Dense, Conv1D, Conv2D, Conv3D.", examples=["dense_1"])]
    rank: Annotated[
        Annotated[int, Meta(ge=1)] | Percent | UnsetType,
        Meta(description="The rank, as a number or a part of the full rank. Excludes `energy`.", examples=[16, "25%"]),
    ] = UNSET
    energy: Annotated[
        Share | UnsetType,
        Meta(description="The part of the sum of squares to keep, by the least rank that does.", examples=["95%"]),
    ] = UNSET
    method: Annotated[Method, Meta(description="The kind of the two layers.")] = Method.SVD

    def problems(self) -> Iterable[Problem]:
        if (self.rank is UNSET) == (self.energy is UNSET):
            yield Problem("it takes either `rank` or `energy`", path=("op",), hint="give one of them")
        for key in ("rank", "energy"):
            value = getattr(self, key)
            if value is not UNSET and exact_share(value) == 0:
                yield Problem(f"`{key}` must be above 0", path=(key,), hint="for example 25%")

    def claim(self) -> SamePredictions | None:
        whole = self.energy if self.rank is UNSET else self.rank if isinstance(self.rank, str) else 0
        return _OF_FULL_RANK if whole is not UNSET and exact_share(whole) == 1 else None

    def restructure(self, ctx: StructureContext) -> None:
        chosen = [self._kernel(ctx, found) for found in ctx.find(self.target, "target")]
        energies = self._energies(ctx, chosen)
        notes = []
        for kernel, shares in zip(chosen, energies, strict=True):
            rank = self._rank(kernel, shares)
            _split(ctx, kernel, rank)
            notes.append(kernel.note(rank, shares))
        ctx.note_first(notes)

    def _kernel(self, ctx: StructureContext, found: FoundLayer) -> _Kernel:
        """Returns the kernel of a layer as matrices.

        Raises:
            PlanError: the layer cannot be split in this way.
        """
        tensor = linear_layer(ctx, found, _CLASSES[self.method], f"which `method: {self.method}` does not split")
        is_depthwise = self.method is Method.DEPTHWISE_SEPARABLE
        if is_depthwise:
            _refuse_not_depthwise(found)
        context = ctx.context
        value = context.read(tensor).cast(context.compute_dtype(tensor))
        return _Kernel(found, tensor, value, int(found.config.get("groups") or 1), is_depthwise)

    def _energies(self, ctx: StructureContext, chosen: Sequence[_Kernel]) -> list[list[float]]:
        """Returns the part of its energy that each kernel keeps at each rank; nothing if nobody needs to know it."""
        if self.rank is not UNSET and not ctx.context.has_values:
            return [[] for _ in chosen]
        found = ctx.context.values([each.matrices.energies(each.rows, each.count) for each in chosen])
        return [each.kept(energies) for each, energies in zip(chosen, found, strict=True)]

    def _rank(self, kernel: _Kernel, shares: Sequence[float]) -> int:
        """Returns the rank for a kernel.

        Raises:
            PlanError: its matrices have a lower one.
        """
        full = kernel.full_rank
        if isinstance(self.energy, float | int | str):
            wanted = float(exact_share(self.energy)) * (1 - _ROUNDING)
            return next((rank for rank, share in enumerate(shares, 1) if share >= wanted), full)
        if isinstance(self.rank, str):
            return max(1, rounded_share(exact_share(self.rank), full))
        assert isinstance(self.rank, int)
        if self.rank > full:
            raise PlanError(
                f"the full rank of `{kernel.found.path}` is {full}, and not {self.rank}",
                path=("rank",),
                hint="choose a lower one, or a part of it, such as 25%",
            )
        return self.rank


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A kernel as matrices, each of which becomes a product of two.

    Arguments:
        found: the layer.
        tensor: its kernel, of shape (window…, inputs of a group, outputs).
        value: the kernel's value.
        groups: the groups of the convolution, each of which has inputs and outputs of its own.
        is_depthwise: whether there is a matrix for each input channel, from the window to the outputs of its group;
            otherwise there is one for each group, from window and inputs to outputs.
    """

    found: FoundLayer
    tensor: TensorSpec
    value: Expression
    groups: int
    is_depthwise: bool

    @property
    def window(self) -> tuple[int, ...]:
        return self.tensor.shape[:-2]

    @property
    def count(self) -> int:
        """The number of matrices."""
        return self.groups * (self.tensor.shape[-2] if self.is_depthwise else 1)

    @property
    def rows(self) -> int:
        return prod(self.window) * (1 if self.is_depthwise else self.tensor.shape[-2])

    @property
    def columns(self) -> int:
        return self.tensor.shape[-1] // self.groups

    @property
    def full_rank(self) -> int:
        return min(self.rows, self.columns)

    @property
    def matrices(self) -> Expression:
        """The matrices, one after the other."""
        window, inputs = prod(self.window), self.tensor.shape[-2]
        if self.is_depthwise:
            return self.value.reshape((window, inputs, self.groups, self.columns)).transpose((2, 1, 0, 3))
        return self.value.reshape((window * inputs, self.groups, self.columns)).transpose((1, 0, 2))

    def factors(self, rank: int) -> tuple[Expression, Expression]:
        """Returns the kernels of the two layers."""
        left, right = self.matrices.factors(self.rows, rank, self.count)
        ones, inputs = (1,) * len(self.window), self.tensor.shape[-2]
        if self.is_depthwise:
            first = left.transpose((1, 0, 2)).reshape((*self.window, self.count, rank))
            inputs, right = inputs * rank, right.reshape((self.groups, inputs * rank, self.columns))
        else:
            first = left.transpose((1, 0, 2)).reshape((*self.window, inputs, self.groups * rank))
            inputs = rank
        return first, right.transpose((1, 0, 2)).reshape((*ones, inputs, self.tensor.shape[-1]))

    def kept(self, energies: Sequence[float]) -> list[float]:
        """Returns the part of the energy that each rank keeps.

        Arguments:
            energies: those of each matrix, one after the other.
        """
        full = self.full_rank
        sums = list(accumulate(sum(energies[rank::full]) for rank in range(full)))
        return [each / sums[-1] if sums[-1] else 1.0 for each in sums]

    def note(self, rank: int, shares: Sequence[float]) -> str:
        """Returns what the user should know of the layer's two kernels."""
        before, after = self.tensor.size, self.count * rank * (self.rows + self.columns)
        became = f"{counted(before)} weights become {counted(after)}{'' if after < before else ', which is not less'}"
        if not shares:
            return f"`{self.found.path}` gets rank {rank} of {self.full_rank}: {became}"
        error = sqrt(max(0.0, 1 - shares[rank - 1]))
        return (
            f"the values of `{self.tensor.path}` are read: at rank {rank} of {self.full_rank} the error is {error:.2%} "
            f"of its norm, and {became}"
        )


def _refuse_not_depthwise(found: FoundLayer) -> None:
    """Refuses a convolution whose window a depthwise one cannot have."""
    config = found.config
    strides = config.get("strides", 1)
    why = ""
    if config.get("padding") == "causal":
        why = "has `padding: causal`"
    elif isinstance(strides, list | tuple) and len(set(strides)) > 1:
        why = f"has different strides, {list(strides)}"
    if why:
        raise PlanError(
            f"`{found.path}` {why}, which a depthwise convolution does not take",
            path=("method",),
            hint="use `method: svd`, or leave it out of the target",
        )


_OF_WINDOW = ("kernel_size", "strides", "padding", "dilation_rate", "data_format")
"""What a convolution's window does, which is up to the first of two layers."""


def _split(ctx: StructureContext, kernel: _Kernel, rank: int) -> None:
    """Puts the first of two layers before a layer, which becomes the second."""
    found, sources = kernel.found, list(dict.fromkeys(sources_of(kernel.found)))
    first, second = _first(ctx, kernel, rank, sources[0]), _second(kernel)
    name, values = str(first["name"]), kernel.factors(rank)
    outputs = {ref: TensorRef(name, call) for call, ref in enumerate(sources)}

    def edit(network: Network) -> Network:
        inserted = edits.insert(network, name, first, outputs, only=[found.name])
        return edits.put(inserted, found.name, second, found.name)

    ctx.edit(
        found.owner,
        edit,
        key="target",
        added={
            name: AddedLayer(first, first_value=_of_kernel(values[0]), at=("target",)),
            found.name: AddedLayer(second, found.path, _of_kernel(values[1]), ("target",)),
        },
        configured=(found.path,),
    )
    after = ctx.weight(found.path, "kernel")
    if after is not None and after.origin == kernel.tensor.origin:  # it has its shape of before, and so was kept
        ctx.write(after, values[1])


def _of_kernel(value: Expression) -> FirstValue:
    """Returns first values for the kernel of a layer, the one weight that it does not keep."""
    return lambda new: value.cast(new.tensor.dtype) if new.tensor.role == "kernel" else None


def _first(ctx: StructureContext, kernel: _Kernel, rank: int, on: TensorRef) -> Entry:
    """Returns the layer that comes first: with the window of the layer that is split, and nothing after its kernel."""
    found, config = kernel.found, kernel.found.config
    window = {key: config[key] for key in _OF_WINDOW if key in config}
    regularizer = "kernel_regularizer"
    if kernel.is_depthwise:
        layer = {"type": f"Depthwise{found.class_name}", "depth_multiplier": rank, **window}
        regularizer = "depthwise_regularizer"
    elif found.class_name == "Dense":
        layer = {"type": "Dense", "units": rank}
    else:
        layer = {"type": found.class_name, "filters": kernel.groups * rank, "groups": kernel.groups, **window}
    entry = ctx.new_layer({**layer, "use_bias": False}, found.owner, on)
    own = {key: config[key] for key in ("dtype", "trainable") if key in config}
    return {**entry, "config": {**entry["config"], **own, regularizer: config.get("kernel_regularizer")}}


def _second(kernel: _Kernel) -> Entry:
    """Returns the layer that is split as the second one of the two."""
    serialised = kernel.found.serialised
    rank = len(kernel.window)
    if not rank:
        return serialised
    point = {"kernel_size": [1] * rank, "strides": [1] * rank, "dilation_rate": [1] * rank, "padding": "valid"}
    return {**serialised, "config": {**serialised["config"], **point}}
