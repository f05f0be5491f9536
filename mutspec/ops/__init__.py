"""The catalogue of ops, a file per family: an op is one small class, of parameters, documentation, and how it lowers.

Nothing here computes: ops write expressions over tensors whose values nobody has read yet. What may not enter: NumPy,
TensorFlow, files.
"""

from mutspec.errors import Problem
from mutspec.language.types import ByTarget, NonNegative, Scale
from mutspec.lowering.base import Op, WeightOp
from mutspec.lowering.tensor_context import TensorContext
from mutspec.ops.catalogue import catalogue, family

__all__ = ["ByTarget", "NonNegative", "Op", "Problem", "Scale", "TensorContext", "WeightOp", "catalogue", "family"]
