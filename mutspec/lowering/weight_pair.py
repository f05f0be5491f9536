"""Two weights, one of which takes values of the other, and how the other's axes are turned to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mutspec.errors import PlanError
from mutspec.graph.choice import size_of
from mutspec.graph.expression import Expression
from mutspec.graph.index_map import IndexMap
from mutspec.lowering.merge_op import described
from mutspec.model.spec import LayerSpec, TensorSpec
from mutspec.text import words

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WeightPair:
    """Two weights, one of which takes values of the other.

    Arguments:
        source: the other weight.
        target: the weight that takes values.
        model: the model that the source is in.
        value: the source's value.
        window: the number of the target's axes that a window of a convolution moves along; they are the first ones.
        turned: where its entries lie after it was turned; None as long as it was not.
    """

    source: TensorSpec
    target: TensorSpec
    model: str
    value: Expression
    window: int = 0
    turned: IndexMap | None = None

    @property
    def view(self) -> IndexMap:
        """The map from the entries of the source, as it is turned, to those of its value."""
        return IndexMap.of(self.value.shape) if self.turned is None else self.turned

    @property
    def extents(self) -> Shape:
        """The shape of the source as it is turned."""
        return () if self.view.shape == (1,) and not self.target.shape else self.view.shape

    @property
    def names(self) -> tuple[str, str]:
        """The two weights with their shapes, for messages."""
        source = described(self.source, self.model)
        if self.extents != self.source.shape:
            source = f"{source}, turned to {words.shape(self.extents)},"
        return source, described(self.target)


def window_axes(layer: LayerSpec, tensor: TensorSpec) -> int:
    """Returns the number of a weight's first axes that are the window of a convolution: all but those of channels."""
    is_convolution = not layer.class_name or any("Conv" in name for name in (layer.class_name, *layer.ancestry))
    return max(0, len(tensor.shape) - 2) if is_convolution else 0


def turned(pair: WeightPair, transpose: bool | tuple[int, ...], *, reshape: bool) -> WeightPair:
    """Transposes and reshapes the source of a pair.

    An order of as many axes as the source has is applied before it is reshaped, one of as many as the target has after
    that.

    Arguments:
        pair: the pair.
        transpose: whether the source's axes are reversed; or their order.
        reshape: whether its entries in C order take the target's shape.

    Raises:
        PlanError: the source does not have as many axes, or as many entries.
    """
    view, shape = pair.view, pair.target.shape
    order: Sequence[int] = () if isinstance(transpose, bool) else transpose
    if transpose is True:
        order = range(len(view.shape))[::-1]
    if not order or len(order) == len(view.shape):
        view = view.transposed(order) if order else view
        return _reshaped(pair, view, shape or (1,)) if reshape else replace(pair, turned=view)
    if not reshape or len(order) != len(shape):
        source, target = pair.names
        raise PlanError(
            f"`transpose: {list(order)}` does not fit {f'{source} or {target}' if reshape else source}",
            path=("transpose",),
            hint="give as many axes as the weight has, and narrow the step to such weights with `weights`",
        )
    before = [0] * len(order)
    for position, axis in enumerate(order):
        before[axis] = shape[position]
    pair = _reshaped(pair, view, tuple(before))
    return replace(pair, turned=pair.view.transposed(order))


def _reshaped(pair: WeightPair, view: IndexMap, shape: Shape) -> WeightPair:
    if size_of(view.shape) != size_of(shape):
        source, target = pair.names
        raise PlanError(
            f"{source} and {target} differ in size, and `reshape` keeps every entry",
            path=("reshape",),
            hint="narrow the step to weights of one size with `weights`, or leave `reshape` out",
        )
    try:
        return replace(pair, turned=view.reshaped(shape))
    except ValueError:  # its entries have to be moved first
        return replace(pair, value=pair.value.gather(view).reshape(shape), turned=None)
