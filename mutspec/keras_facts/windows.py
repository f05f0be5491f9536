"""The size and the place of a convolution's window on its input, before and after a change of its size.

Padding as TensorFlow computes it for Keras 3.15: `backend/tensorflow/nn.py`, `backend/common/backend_utils.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """One axis along which the window of a convolution moves.

    Arguments:
        stride: the entries from one position of the window to the next; of a transposed one, in its output.
        dilation: the distance between entries of the window.
        padding: `valid`, `same` or `causal`.
        is_transposed: whether it is a transposed convolution, whose window lies on the output.
        output_padding: of a transposed one, what its config says.
    """

    stride: int = 1
    dilation: int = 1
    padding: str = "valid"
    is_transposed: bool = False
    output_padding: int | None = None

    def extent(self, size: int) -> int:
        """Returns the entries from the first to the last that a window of a size sees."""
        return (size - 1) * self.dilation + 1

    def keeps_shape(self, before: int, after: int) -> bool:
        """Returns whether windows of two sizes make outputs of one shape, whatever the input is."""
        one, other = self.extent(before), self.extent(after)
        if self.padding != "valid":
            return self.output_padding is None or one % 2 == other % 2
        if self.is_transposed and self.output_padding is None:
            return max(one, self.stride) == max(other, self.stride)
        return one == other

    def offset(self, small: int, large: int, length: int | None) -> int | None:
        """Returns which entry of a large window stands where the first entry of a small one does.

        Arguments:
            small: the size of one window.
            large: that of the other.
            length: the length of the input; None if it can be any.

        Returns:
            The entry's number; None if it depends on the length, or none stands there.
        """
        distances = {
            far - near for near, far in zip(self._paddings(small, length), self._paddings(large, length), strict=True)
        }
        if len(distances) > 1:
            return None
        (distance,) = distances
        return None if distance % self.dilation else distance // self.dilation

    def _paddings(self, size: int, length: int | None) -> list[int]:
        """Returns how far before the input the first window begins, for each length that makes a difference.

        A transposed convolution cuts as much off its output.
        """
        extent = self.extent(size)
        if self.padding == "valid":
            return [0]
        if self.padding == "causal":
            return [extent - 1]
        if self.is_transposed:
            kept = self.stride if self.output_padding is None else extent % 2 + self.output_padding
            return [max(extent - kept, 0) // 2]
        rests = range(1, self.stride + 1) if length is None else [(length - 1) % self.stride + 1]
        return [max(extent - rest, 0) // 2 for rest in rests]
