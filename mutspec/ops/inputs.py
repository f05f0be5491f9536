"""Inputs: other shapes and dtypes for a model's inputs, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import PlanError, Problem, nearest
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.language.types import Count, Positive, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.input_channels import ChannelSource, change_channels
from mutspec.lowering.limits_of_made import extent_problems
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure.channel_axis import is_channels_first
from mutspec.structure.flow import shown_type
from mutspec.structure.network import Network, refs

InputDtype = Literal[
    "float16", "bfloat16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "string",
]  # fmt: skip


class SetInput(StructureOp, tag="set_input", frozen=True, kw_only=True):
    """Change the shape or dtype of an input: image size, sequence length, batch size, channels.

    The shapes of all that follows are found again, also in models in the model, whose inputs change with it. Weights
    stay. A layer whose weights depend on the size, such as a Dense after a Flatten, cannot follow: it is named, and a
    later step may replace it, or an earlier one the Flatten by a global pooling.

    `channels` gives an input other channels, and the layers that read them the weights that `from` says. With fewer
    channels, `mean`, `sum` and `luminosity` make each of all old ones, and else the first stay. With more channels, the
    old ones stay, and each new one is read as `from` says. A list names the old channel of each: `from: [0, 1, 2, 0]`.
    After 3 → 1 by `sum` a grey image predicts what it did as three equal channels. Layers with weights for each
    channel, such as Normalization, follow unless several channels become one.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"batch_size": 4})

    input: Annotated[
        str | UnsetType,
        Meta(
            description="The name of the input. Default: the only one; of several all, if only `batch_size` is given.",
            examples=["image"],
        ),
    ] = UNSET
    shape: Annotated[
        tuple[Positive | None, ...] | UnsetType,
        Meta(description="Its whole shape, without the batch; null where it is not fixed.", examples=[[96, 96, 3]]),
    ] = UNSET
    size: Annotated[
        Positive | tuple[Positive | None, ...] | UnsetType,
        Meta(description="Height and width (or all axes but batch and channels) alone.", examples=[[96, 96]]),
    ] = UNSET
    length: Annotated[
        Positive | UnsetType | None, Meta(description="The length of the sequence alone: the axis after the batch.")
    ] = UNSET
    batch_size: Annotated[
        Positive | UnsetType | None,
        Meta(description="The number of samples in a batch, which stateful layers need; null for any."),
    ] = UNSET
    dtype: Annotated[InputDtype | UnsetType, Meta(description="Its dtype.", examples=["uint8"])] = UNSET
    channels: Annotated[Positive | UnsetType, Meta(description="The number of its channels.", examples=[1])] = UNSET
    from_: Annotated[
        ChannelSource | tuple[Count, ...] | UnsetType,
        Meta(
            description="The weights by which new channels are read: `mean` or `sum` of those of the old ones, "
            "`luminosity` (0.299, 0.587 and 0.114 of three), `zero`, or `default`, as the initializers say; or for "
            "each channel the old one whose weights it gets.",
            examples=["mean", [0, 1, 2, 0]],
        ),
    ] = field(default=UNSET, name="from")
    rescale: Annotated[
        Literal["keep_sum"] | UnsetType,
        Meta(
            description="`keep_sum`: the weights are scaled so that all channels together weigh what they did: with a "
            "list each copy has its part, with `mean` all get the factor old by new number."
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        given = [key for key in ("shape", "size", "length") if getattr(self, key) is not UNSET]
        if len(given) > 1:
            message = f"`{given[0]}` and `{given[1]}` both say what the shape is"
            yield Problem(message, path=(given[1],), hint="give one of `shape`, `size`, `length`")
        others = [key for key in ("batch_size", "channels") if getattr(self, key) is not UNSET]
        for key in (*given, *others):
            yield from extent_problems(getattr(self, key), key)
        yield from self._problems_of_channels()
        if not given and not others and self.dtype is UNSET and self.from_ is UNSET and self.rescale is UNSET:
            yield Problem(
                "`set_input` changes nothing",
                hint="give a `shape`, `size`, `length`, `channels`, `batch_size` or `dtype`",
            )

    def _problems_of_channels(self) -> Iterable[Problem]:
        if (self.channels is not UNSET or self.from_ is not UNSET) and self.shape is not UNSET:
            message = "`shape` says how many channels there are, but not what they are read by"
            yield Problem(message, path=("shape",), hint="give `size` with `channels` and `from`")
        if self.channels is not UNSET and self.from_ is UNSET:
            hint = "add `from: mean`, `sum`, `luminosity`, `zero` or `default`, or the old channel of each: `[0, 0]`"
            yield Problem("`channels` needs `from`: the weights that read them", path=("channels",), hint=hint)
        if isinstance(self.from_, tuple):
            if not self.from_:
                yield Problem("`from` names no channel", path=("from",), hint="name the old channel of each")
            elif self.channels not in (UNSET, len(self.from_)):
                message = f"`from` names {len(self.from_)} channels, and `channels` is {self.channels}"
                yield Problem(message, path=("from",), hint="leave `channels` out")
        elif self.from_ is not UNSET and self.channels is UNSET:
            yield Problem(
                f"`from: {self.from_}` needs `channels`", path=("from",), hint="add `channels: 1`, for example"
            )
        if self.rescale is not UNSET and not (isinstance(self.from_, tuple) or self.from_ == ChannelSource.MEAN):
            message = "`rescale` is for `from: mean` and for a list of channels"
            yield Problem(message, path=("rescale",), hint="leave it out; `sum` and `zero` keep the sum by themselves")

    def restructure(self, ctx: StructureContext) -> None:
        ctx.give_input_layer("")
        network = ctx.network("")
        names = self._names(network)
        if self.from_ is not UNSET:
            count = len(self.from_) if isinstance(self.from_, tuple) else or_default(self.channels, 0)
            for name in names:
                change_channels(ctx, name, count, self.from_, keeps_sum=self.rescale is not UNSET)
            if all(each is UNSET for each in (self.size, self.length, self.batch_size, self.dtype)):
                return
            network = ctx.network("")
        before = {name: ctx.type_of("", TensorRef(name)) for name in names}
        after = {name: self._type(network, name, each) for name, each in before.items()}
        if after == before:
            listing = " and ".join(f"`{name}`" for name in names)
            has = "has" if len(names) == 1 else "have"
            raise PlanError(f"{listing} {has} this shape and dtype already", path=("op",), hint="leave the step out")
        for name in names:
            if after[name] != before[name]:
                _set_input(ctx, "", name, after[name])

    def _names(self, network: Network) -> list[str]:
        names = [ref.layer for ref in refs(network.inputs)]
        others = (self.shape, self.size, self.length, self.dtype, self.from_)
        is_of_the_batch = all(each is UNSET for each in others)
        if self.input is UNSET and (len(names) == 1 or is_of_the_batch):
            return names
        listing = ", ".join(f"`{name}`" for name in names)
        if self.input is UNSET:
            raise PlanError(
                f"the model has {len(names)} inputs: {listing}", path=("op",), hint=f"name one: `input: {names[0]}`"
            )
        if self.input not in names:
            near = nearest(self.input, names)
            hint = "" if near else f"its inputs are {listing}"
            message = f"the model has no input `{self.input}`"
            raise PlanError(Problem(message, path=("input",), hint=hint, candidates=near))
        return [self.input]

    def _type(self, network: Network, name: str, before: TensorType) -> TensorType:
        return TensorType(self._shape(network, name, before.shape), or_default(self.dtype, before.dtype))

    def _shape(self, network: Network, name: str, before: Shape) -> Shape:
        batch = before[0] if self.batch_size is UNSET else self.batch_size
        if self.shape is not UNSET:
            return (batch, *self.shape)
        shape = [batch, *before[1:]]
        if self.length is not UNSET:
            if len(before) < 2:
                raise PlanError(
                    f"`{name}` is {list(before)}, which has no sequence", path=("length",), hint="give `shape`"
                )
            shape[1] = self.length
        if self.size is not UNSET:
            start = 2 if is_channels_first(network, name) else 1
            count = len(before) - 2
            size = (self.size,) * count if isinstance(self.size, int) else self.size
            if count < 1 or len(size) != count:
                shown = shown_type(TensorType(before))
                raise PlanError(
                    f"`size` has {len(size)} extents, but `{name}`, of {shown}, has {max(count, 0)} between batch and "
                    "channels",
                    path=("size",),
                    hint="give the whole `shape`, without the batch",
                )
            shape[start : start + count] = size
        return tuple(shape)


def _set_input(ctx: StructureContext, owner: str, name: str, after: TensorType) -> None:
    """Gives an input of a model another type. The inputs of models in it follow."""
    network = ctx.network(owner)
    entry = network.layers[name]
    assert not isinstance(entry, Network)
    kept = {key: value for key, value in entry["config"].items() if key not in ("batch_input_shape", "shape")}
    changed = {**entry, "config": {**kept, "batch_shape": list(after.shape), "dtype": after.dtype}}
    models = [each for each, layer in network.layers.items() if isinstance(layer, Network)]
    before = {ref: ctx.type_of(owner, ref) for each in models for call in network.uses[each] for ref in call}
    ctx.edit(
        owner,
        lambda whole: whole.with_layers({**whole.layers, name: changed}),
        added={name: AddedLayer(changed, at=("op",))},
        configured=[join(owner, name)],
    )
    for each in models:
        path = join(owner, each)
        for number, ref in enumerate(network.uses[each][0]):
            now = ctx.type_of(owner, ref)
            if now == before[ref]:
                continue
            ctx.give_input_layer(path)
            port = list(refs(ctx.network(path).inputs))[number]
            if ctx.type_of(path, port) != now:
                _set_input(ctx, path, port.layer, now)
