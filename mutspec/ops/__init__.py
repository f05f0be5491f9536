"""The catalogue of ops, one file for each family: an op is a small class of parameters, documentation and lowering.

Ops compute nothing. They write expressions over tensors whose values have not been read yet. What may not enter: NumPy,
TensorFlow, files.
"""

from mutspec.errors import Problem
from mutspec.language.types import ByTarget, NonNegative, Scale
from mutspec.lowering.base import Op, WeightOp
from mutspec.lowering.tensor_context import TensorContext
from mutspec.ops.catalogue import catalogue, family

__all__ = ["ByTarget", "NonNegative", "Op", "Problem", "Scale", "TensorContext", "WeightOp", "catalogue", "family"]
