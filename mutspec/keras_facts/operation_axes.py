"""How each class of operation in Functional models changes the axes of its tensors.

Checked against Keras 3.15 by `tests/structure/test_layer_axes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from mutspec.keras_facts.operation_shapes import ENTRYWISE


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENTRY_BY_ENTRY = ENTRYWISE | _names(
    """
    Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot
    BitwiseOr BitwiseRightShift BitwiseXor Cbrt Conj Conjugate ConvertToTensor Cosh Deg2rad Divide
    DivideNoNan Erfc Erfinv Exp2 Fabs Fmax Fmin Fmod Gcd HardShrink Heaviside Hypot Imag Isclose Isneginf Isposinf
    Isreal Lcm Ldexp LeftShift Logaddexp Logaddexp2 LogicalXor NanToNum Nextafter Real Reciprocal
    RightShift Round SaturateCast Signbit Sinc Sinh SparsePlus SparseSigmoid Squareplus TanhShrink Threshold Trunc
    ZerosLike OnesLike
    """
)
"""Operations that compute each entry from the entries of the same place, as NumPy broadcasts them."""

MIXES, SUMS = "computes with all channels of this axis", "sums over all channels of this axis"

REDUCTIONS: Mapping[str, str] = {
    **dict.fromkeys(_names("Sum Nansum Any CountNonzero Norm"), SUMS),
    **dict.fromkeys(
        _names(
            """
            Mean Prod Std Var Max Min Amax Amin All Argmax Argmin Median Quantile Percentile Ptp Logsumexp Nanmean
            Nanmax Nanmin Nanstd Nanvar Nanprod
            """
        ),
        MIXES,
    ),
}
"""Operations over axes that are gone then: those to which a channel of zeros adds nothing, and others."""

ALONG: Mapping[str, str] = {
    **dict.fromkeys(_names("Softmax LogSoftmax Sparsemax"), "divides by the sum over all channels"),
    **dict.fromkeys(_names("Normalize Cumsum"), SUMS),
    **dict.fromkeys(_names("Cumprod LayerNorm RMSNorm"), MIXES),
}
"""Operations over axes that stay."""

IMAGES = _names("MaxPool AveragePool AdaptiveMaxPool AdaptiveAveragePool Resize")
"""Operations on images, which keep their channels."""

STACKED_ALONG: Mapping[str, int] = {"Vstack": 0, "Hstack": 1, "Dstack": 2}
"""Concatenations along an axis that is not stated."""
