"""The parts of a custom op: the only module that packages with ops import from.

docs/writing-an-op.md teaches it. Every name in it is stable; other names may change with any version. No module of
mutspec imports it.
"""

from mutspec.errors import DocumentPath, OpError, PlanError, Problem
from mutspec.graph.choice import (
    Bits,
    Box,
    Choice,
    ChosenSlices,
    Computed,
    Listed,
    Run,
    Scattered,
    StridedSlices,
    Tiles,
    Window,
    Within,
)
from mutspec.graph.expression import Expression, constant
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.keras_facts.roles import Group
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import (
    ByTarget,
    Case,
    Count,
    NonNegative,
    Patterns,
    Per,
    Percent,
    PlanValue,
    Rank,
    Scale,
    Selector,
    Share,
    Target,
    Unit,
    exact_share,
)
from mutspec.lowering.amounts import Amount, Chosen
from mutspec.lowering.base import Op, StructureOp, WeightOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.context import ALL_GROUPS, LoweringContext, TensorWrite
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.merge_op import MergeOp, Source
from mutspec.lowering.neuron_op import BiasedNeuronOp, NeuronOp
from mutspec.lowering.neuron_slices import NeuronSlices, neurons_of
from mutspec.lowering.new_fragment import NewFragment, graph_of, inserted, layer_problems, new_fragment, put_fragment
from mutspec.lowering.new_layer import AddedLayer, FirstValue, Initialize, LayerChain, LayerConfig
from mutspec.lowering.noise_op import Bounds, Mode, NoiseOp, RelativeTo
from mutspec.lowering.structure_context import Edit, StructureContext
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.outline import join
from mutspec.model.select import Selection
from mutspec.model.spec import LayerSpec, ModelSpec, TensorRef, TensorSpec
from mutspec.structure.coupling.declared import declare_layer_axes
from mutspec.structure.edits import added, call_of, insert, put, redirected, remove, remove_all, rename
from mutspec.structure.fragments import Fragment, cut, placed
from mutspec.structure.layer_config import configured
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Entry, Network, refs

__all__ = [
    # The shapes of ops.
    "WeightOp",
    "NoiseOp",
    "MergeOp",
    "NeuronOp",
    "BiasedNeuronOp",
    "StructureOp",
    "Op",
    "SamePredictions",
    # What parameters are made of.
    "ByTarget",
    "Case",
    "Target",
    "Selector",
    "Scale",
    "RelativeTo",
    "Mode",
    "Bounds",
    "Source",
    "LayerConfig",
    "LayerChain",
    "Initialize",
    "NonNegative",
    "Count",
    "Share",
    "Percent",
    "Patterns",
    "PlanValue",
    "exact_share",
    # What is wrong with a step.
    "Problem",
    "PlanError",
    "OpError",
    "DocumentPath",
    # Where ops are lowered, and what they read and write.
    "TensorContext",
    "LoweringContext",
    "Expression",
    "constant",
    "TensorWrite",
    "Group",
    "ALL_GROUPS",
    "Selection",
    "ModelSpec",
    "LayerSpec",
    "TensorSpec",
    # Amounts, and the entries that a step changes.
    "Amount",
    "Chosen",
    "Per",
    "Unit",
    "Rank",
    "Choice",
    "Listed",
    "Scattered",
    "Run",
    "Window",
    "Box",
    "StridedSlices",
    "ChosenSlices",
    "Tiles",
    "Within",
    "Bits",
    "Computed",
    "NeuronSlices",
    "neurons_of",
    "Permutation",
    "uniform_64_bits",
    # Architecture.
    "StructureContext",
    "FoundLayer",
    "NewWeight",
    "FirstValue",
    "Network",
    "Entry",
    "TensorRef",
    "TensorType",
    "refs",
    "join",
    "Edit",
    "AddedLayer",
    "EditKind",
    "insert",
    "remove",
    "remove_all",
    "put",
    "rename",
    "configured",
    "redirected",
    "added",
    "call_of",
    "name_in_recipe",
    # Several layers at once.
    "graph_of",
    "layer_problems",
    "new_fragment",
    "NewFragment",
    "inserted",
    "put_fragment",
    "Fragment",
    "cut",
    "placed",
    # Layer classes of a package's own.
    "LayerAxes",
    "declare_layer_axes",
]
