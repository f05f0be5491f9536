"""The mutation operators of the literature and the tools, and the steps of ours that each of them is.

Steps are complete: in a plan for a model that has such layers, they do what the operator does, with the defaults of
the operator's authors where they have any. `dense_1`, `conv_1` and the like stand for layers of one's own. All of ours
round an amount to the nearest whole number, take distinct entries, and draw from streams that a seed determines.

Sources: the papers, and the tools' own code; for AIHWKit `weight_modifier.cpp` and `noise/pcm.py`, for EvoTorch
`operators/real.py`, for GoldenEye `num_sys_class.py`, for MRFI `error_mode.py`, for PyGAD `utils/mutation.py`.
"""

# ruff: noqa: E501 (a table to read down)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Step = Mapping[str, Any]


class Operator(NamedTuple):
    """One operator of one source.

    Arguments:
        name: as its authors call it.
        source: the paper or tool.
        meaning: what it does, with its defaults.
        level: what it changes: weight, neuron, architecture, state or activation.
        does: the step that does the same, or several; none while there is no such step.
        note: where the steps differ, or why there are none.
        also: other names that it goes by.
    """

    name: str
    source: str
    meaning: str
    level: str
    does: Step | tuple[Step, ...] = ()
    note: str = ""
    also: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that do the same, in order."""
        return self.does if isinstance(self.does, tuple) else (self.does,)

    @property
    def op(self) -> str:
        """The op of the first step; empty while there is none."""
        return str(self.steps[0]["op"]) if self.steps else ""


def called(name: str) -> tuple[Operator, ...]:
    """The operators of a name, with or without its source before it, in capitals or not."""
    wanted = " ".join(name.split()).casefold()
    return tuple(row for row in LITERATURE if wanted in _names(row))


def _names(row: Operator) -> set[str]:
    names = {each.casefold() for each in (row.name, *row.also)}
    return names | {f"{row.source} {each}".casefold() for each in names}


_KERNELS = {"weights": "kernels"}
_LAYERS = {"type": ["Dense", "Conv2D"]}
_ONE_LAYER = {"type": ["Dense", "Conv2D"], "pick": {"random": 1}}
_ANY_KERNEL = {"weights": "kernels", "pick": {"random": 1}}
_RECURRENT = {"type": ["LSTM", "GRU"], "weights": "kernels"}
_NOT_LAST = {"type": ["Dense", "Conv2D"], "pick": {"skip_last": 1, "random": 1}}
_CELL = _VARIABLE = "dense_1/kernel"


def _uniform(low: float, high: float) -> dict[str, Any]:
    return {"class_name": "RandomUniform", "config": {"minval": low, "maxval": high}}


def _whole_numbers(below: int) -> tuple[Step, ...]:
    """Set to a random whole number from [0, below): both steps choose the same entries, as they share a stream."""
    same = {"target": _KERNELS, "rate": 1e-4, "stream": "integers"}
    return (
        {"op": "reinitialize", **same, "initializer": _uniform(-0.5, below - 0.5)},
        {"op": "round", **same, "decimals": 0},
    )


_ZERO_SKIP: Step = {
    "op": "insert_layer",
    "after": "dense_2",
    "with": "dense_1",
    "layers": [
        {"name": "weighted", "type": "Dense", "units": "same", "kernel_initializer": "zeros", "of": "with"},
        {"type": "Add", "of": ["input", "weighted"]},
    ],
}
"""A skip connection whose weights begin with zero, so that predictions stay."""

_SKIP: Step = {"id": "skip", "op": "insert_layer", "after": "dense_2", "with": "dense_1", "layer": {"type": "Add"}}
_OF_LAYERS = "a node is a layer here, and a connection a tensor that a layer takes"


_STATE = "acts while the network runs"
_ACTIVATION = "changes outputs, not weights"

# fmt: off
LITERATURE: tuple[Operator, ...] = (
    Operator("GF", "DeepMutation", "add N(0, 0.1) to a part of each weight's entries", "weight",
             {"op": "gaussian_noise", "target": "*", "std": 0.1, "fraction": "1%"}, also=("gaussian fuzzing",)),
    Operator("GF, uniform", "DeepMutation", "add U(low, high) to a part of each weight's entries", "weight",
             {"op": "uniform_noise", "target": "*", "low": -0.1, "high": 0.1, "fraction": "1%"}, also=("uniform fuzzing",)),
    Operator("WS", "DeepMutation", "shuffle the weights of a part of the output neurons", "neuron",
             {"op": "shuffle_neurons", "target": _LAYERS, "fraction": "1%"}, also=("weight shuffling",)),
    Operator("NEB", "DeepMutation", "block neurons: zero their weights", "neuron",
             {"op": "zero_neurons", "target": _LAYERS, "fraction": "1%"}, also=("neuron effect block",)),
    Operator("NAI", "DeepMutation", "negate the weights of neurons", "neuron",
             {"op": "negate_neurons", "target": _LAYERS, "fraction": "1%"}, also=("neuron activation inverse",)),
    Operator("NS", "DeepMutation", "switch neurons of a layer", "neuron",
             {"op": "swap_neurons", "target": _LAYERS, "fraction": "1%", "at_least": 2}, "in pairs", also=("neuron switch",)),
    Operator("LD", "DeepMutation", "deactivate a layer whose in-shape is its out-shape", "architecture",
             {"op": "remove_layer", "target": "dense_1"}, "re-implementations duplicate it: LD of DeepMutation++", also=("layer deactivation",)),
    Operator("LAm", "DeepMutation", "add a layer", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layer": {"type": "Activation", "activation": "relu"}}, also=("layer addition",)),
    Operator("AFRm", "DeepMutation", "make a layer's activation the identity, but not the last layer's", "architecture",
             {"op": "configure_layer", "target": _NOT_LAST, "set": {"activation": "linear"}}, also=("activation function removal",)),

    Operator("GF", "DeepMutation++", "w·(1 + N(0, 0.5)) on max(1, ratio·all) entries", "weight",
             {"op": "gaussian_noise", "target": _LAYERS, "mode": "multiply", "std": 0.5, "fraction": "1%", "per": "all", "at_least": 1}),
    Operator("WS", "DeepMutation++", "shuffle the weights of max(1, ratio·n) output neurons", "neuron",
             {"op": "shuffle_neurons", "target": _LAYERS, "fraction": "1%", "at_least": 1}),
    Operator("NEB", "DeepMutation++", "block neurons, bias included", "neuron",
             {"op": "zero_neurons", "target": _LAYERS, "fraction": "1%", "at_least": 1, "bias": True}),
    Operator("NAI", "DeepMutation++", "negate neurons, bias included", "neuron",
             {"op": "negate_neurons", "target": _LAYERS, "fraction": "1%", "at_least": 1, "bias": True}),
    Operator("NS", "DeepMutation++", "swap k = max(1, ratio·n) pairs of neurons", "neuron",
             {"op": "swap_neurons", "target": _LAYERS, "fraction": "2%", "at_least": 2}, "pairs are disjoint"),
    Operator("LR", "DeepMutation++", "remove a layer", "architecture",
             {"op": "remove_layer", "target": "dense_1"}, also=("layer removal",)),
    Operator("LA", "DeepMutation++", "insert one of 10 activations", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layer": {"type": "Activation", "activation": "relu"}}, "name it: not drawn"),
    Operator("LD", "DeepMutation++", "duplicate a layer", "architecture",
             {"id": "copy", "op": "duplicate_layers", "target": "dense_1"}, also=("layer duplication",)),
    Operator("state clear", "DeepMutation++", "set states of a recurrent layer to zero", "state", note=_STATE),
    Operator("state reset", "DeepMutation++", "restart states in the course of a sequence", "state", note=_STATE),
    Operator("state GF", "DeepMutation++", "add noise to states", "state", note=_STATE),
    Operator("state precision", "DeepMutation++", "round states", "state", note=_STATE),
    Operator("gate clear", "DeepMutation++", "set what a gate lets through to zero", "state", note=_STATE),
    Operator("gate GF", "DeepMutation++", "add noise to what a gate lets through", "state", note=_STATE),
    Operator("gate precision", "DeepMutation++", "round what a gate lets through", "state", note=_STATE),
    Operator("RNN weight GF", "DeepMutation++", "GF on weights of a recurrent layer, or of one gate (`gates:`)", "weight",
             {"op": "gaussian_noise", "target": _RECURRENT, "mode": "multiply", "std": 0.5, "fraction": "1%"}),
    Operator("RNN weight binarise", "DeepMutation++", "weights of a recurrent layer become their sign", "weight",
             {"op": "binarize", "target": _RECURRENT, "scale": 1.0, "fraction": "1%"}),
    Operator("RNN weight precision", "DeepMutation++", "weights of a recurrent layer lose decimals", "weight",
             {"op": "round", "target": _RECURRENT, "decimals": 2, "fraction": "1%"}),

    Operator("GF", "LEMON", "add N(0, 0.1·std(tensor)) to 30 % of one layer's entries", "weight",
             {"op": "gaussian_noise", "target": _ONE_LAYER, "std": 0.1, "relative_to": "std", "fraction": "30%"}),
    Operator("WS", "LEMON", "shuffle the weights of neurons of one layer", "neuron",
             {"op": "shuffle_neurons", "target": _ONE_LAYER, "fraction": "30%"}),
    Operator("NEB", "LEMON", "block neurons of one layer", "neuron",
             {"op": "zero_neurons", "target": _ONE_LAYER, "fraction": "30%"}),
    Operator("NAI", "LEMON", "negate neurons of one layer", "neuron",
             {"op": "negate_neurons", "target": _ONE_LAYER, "fraction": "30%"}),
    Operator("NS", "LEMON", "switch two neurons of one layer", "neuron",
             {"op": "swap_neurons", "target": _ONE_LAYER, "count": 2}),
    Operator("ARem", "LEMON", "remove the activation of one layer", "architecture",
             {"op": "configure_layer", "target": _ONE_LAYER, "set": {"activation": "linear"}}),
    Operator("ARep", "LEMON", "replace the activation of one layer by relu, tanh, sigmoid or leaky_relu", "architecture",
             {"op": "configure_layer", "target": _ONE_LAYER, "set": {"activation": "tanh"}}, "name it: not drawn"),
    Operator("LA", "LEMON", "add a layer", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layer": {"type": "Dense", "units": "same"}}),
    Operator("LC", "LEMON", "copy a layer and put the copy behind it", "architecture",
             {"id": "copy", "op": "duplicate_layers", "target": "dense_1"}),
    Operator("LR", "LEMON", "remove a layer", "architecture", {"op": "remove_layer", "target": "dense_1"}),
    Operator("LS", "LEMON", "switch two layers of alike shapes", "architecture",
             {"op": "swap_layers", "target": "dense_1", "other": "dense_2"}),
    Operator("MLA", "LEMON", "insert several layers", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layers": [{"type": "Dense", "units": "same"}, {"type": "Dense", "units": "same"}]}),

    Operator("weights_fuzzing", "PMT", "w + mask·N(0, 1)·magnitude·|w|, ratio 0.01 to 0.2", "weight",
             {"op": "gaussian_noise", "target": "*", "std": 0.1, "relative_to": "weight", "fraction": "1%"}, "std is the magnitude"),
    Operator("neurons_freezing", "PMT", "zero kernel and bias of max(1, ratio·n) units", "neuron",
             {"op": "zero_neurons", "target": _LAYERS, "fraction": "1%", "at_least": 1, "bias": True}),
    Operator("CW", "DeepMAACC", "kernel and bias × 1.1, one neuron at a time, each in turn", "neuron",
             {"op": "scale_neurons", "target": "dense_1", "factor": 1.1, "indices": [0], "bias": True}, "sweep over indices", also=("change weights",)),
    Operator("WI", "MuFF", "reduce a weight's magnitude", "weight",
             {"op": "scale", "target": _KERNELS, "factor": 0.5, "count": 1, "per": "all"}, also=("weight inhibitor",)),
    Operator("NI", "MuFF", "suppress a neuron", "neuron",
             {"op": "scale_neurons", "target": _LAYERS, "factor": 0.5, "count": 1, "per": "all", "bias": True}, also=("neuron inhibitor",)),

    Operator("change one cell", "Xavier", "set a bias, kernel cell or edge by index", "weight",
             {"op": "fill", "target": _CELL, "value": 0.5, "indices": [0]}),
    Operator("block one cell", "Xavier", "zero a bias, kernel cell or edge by index", "weight",
             {"op": "zero", "target": _CELL, "indices": [0]}),
    Operator("reciprocal of one cell", "Xavier", "w → 1/w, by index", "weight",
             {"op": "reciprocal", "target": _CELL, "indices": [0]}),
    Operator("negate one cell", "Xavier", "w → -w, by index", "weight",
             {"op": "negate", "target": _CELL, "indices": [0]}),

    Operator("zeros", "TensorFI 2", "zero a percentage of the entries", "weight",
             {"op": "zero", "target": "*", "fraction": "10%"}),
    Operator("random", "TensorFI 2", "replace a number of entries by U[0, 1)", "weight",
             {"op": "reinitialize", "target": "*", "initializer": _uniform(0, 1), "count": 5}),
    Operator("bit flips", "TensorFI 2", "flip a bit of a number of entries: 0 to 31, or a random one", "weight",
             {"op": "bit_flip", "target": "*", "count": 5, "non_finite": "report"}),
    Operator("faults in outputs", "TensorFI 2", "the same in a layer's output", "activation", note=_ACTIVATION),
    Operator("shuffle_params", "TF-Injector", "shuffle a variable", "weight", {"op": "shuffle", "target": _VARIABLE}),
    Operator("zeros", "TF-Injector", "zero a variable", "weight", {"op": "zero", "target": _VARIABLE}),
    Operator("mutate", "TF-Injector", "flip bits in a variable", "weight",
             {"op": "bit_flip", "target": _VARIABLE, "count": 1, "non_finite": "report"}),
    Operator("RandomBit", "InjectTF2", "flip a random bit of one element of each sample", "activation", note=_ACTIVATION),
    Operator("SpecificBit", "InjectTF2", "flip a given bit of one element of each sample", "activation", note=_ACTIVATION),

    Operator("random_weight", "PyTorchFI", "replace one weight of a random layer by U(-1, 1)", "weight",
             {"op": "reinitialize", "target": _ANY_KERNEL, "initializer": _uniform(-1, 1), "count": 1, "per": "all"}),
    Operator("zero weight", "PyTorchFI", "zero one weight of a random layer", "weight",
             {"op": "zero", "target": _ANY_KERNEL, "count": 1, "per": "all"}),
    Operator("multi-weight", "PyTorchFI", "each weight with probability 1e-5, by a function", "weight",
             {"op": "reinitialize", "target": _KERNELS, "initializer": _uniform(-1, 1), "rate": 1e-5, "allow_empty": True}, "any op is the function"),
    Operator("single bit flip", "PyTorchFI", "flip a bit of an 8-bit quantised value", "weight",
             {"op": "bit_flip", "target": _ANY_KERNEL, "format": "int8", "count": 1, "per": "all"}),
    Operator("neuron faults", "PyTorchFI", "the same in a layer's output", "activation", note=_ACTIVATION),
    Operator("number", "PyTorchALFI", "replace values by U(min, max), by layer type", "weight",
             {"op": "reinitialize", "target": {"type": "Conv2D", "weights": "kernel"}, "initializer": _uniform(-1, 1), "count": 1}),
    Operator("bit flip in a range", "PyTorchALFI", "flip one of a range of bits, by layer type", "weight",
             {"op": "bit_flip", "target": {"type": "Conv2D", "weights": "kernel"}, "bits": {"first": 23, "last": 30}, "count": 1, "non_finite": "report"}),
    Operator("neuron faults", "PyTorchALFI", "the same in a layer's output", "activation", note=_ACTIVATION),

    Operator("IntSignBitFlip", "MRFI", "flip the sign bit of quantised values; rate 1e-4, as of all these", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "int8", "bits": 7, "rate": 1e-4}),
    Operator("IntRandomBitFlip", "MRFI", "flip a random bit of quantised values", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "int8", "rate": 1e-4}, "8 bits wide"),
    Operator("IntFixedBitFlip", "MRFI", "flip a given bit of quantised values", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "int8", "bits": 6, "rate": 1e-4}, "8 bits wide"),
    Operator("FloatRandomBitFlip", "MRFI", "flip a random bit of floats", "weight",
             {"op": "bit_flip", "target": _KERNELS, "rate": 1e-4, "non_finite": "report"}),
    Operator("FloatFixedBitFlip", "MRFI", "flip a given bit of floats", "weight",
             {"op": "bit_flip", "target": _KERNELS, "bits": 30, "rate": 1e-4, "non_finite": "report"}),
    Operator("SetZero", "MRFI", "set to zero", "weight", {"op": "zero", "target": _KERNELS, "rate": 1e-4}),
    Operator("SetValue", "MRFI", "set to a value", "weight", {"op": "fill", "target": _KERNELS, "value": 0.5, "rate": 1e-4}),
    Operator("IntRandom", "MRFI", "set to a random integer from [0, 128)", "weight", _whole_numbers(128), "not in units of quantised values"),
    Operator("IntRandomBit", "MRFI", "set to a random 8-bit integer", "weight", _whole_numbers(256), "not in units of quantised values"),
    Operator("UniformRandom", "MRFI", "set to U(-1, 1)", "weight",
             {"op": "reinitialize", "target": _KERNELS, "initializer": _uniform(-1, 1), "rate": 1e-4}),
    Operator("NormalRandom", "MRFI", "set to N(0, 1)", "weight",
             {"op": "reinitialize", "target": _KERNELS, "initializer": {"class_name": "RandomNormal", "config": {"stddev": 1.0}}, "rate": 1e-4}),
    Operator("UniformDisturb", "MRFI", "add U(-1, 1)", "weight",
             {"op": "uniform_noise", "target": _KERNELS, "low": -1, "high": 1, "rate": 1e-4}),
    Operator("NormalDisturb", "MRFI", "add N(0, 1)", "weight",
             {"op": "gaussian_noise", "target": _KERNELS, "std": 1.0, "rate": 1e-4}),
    Operator("faults in activations", "MRFI", "the same in a layer's output", "activation", note=_ACTIVATION),

    Operator("uniform", "Ares", "add uniform noise to a part of the weights", "weight",
             {"op": "uniform_noise", "target": _KERNELS, "low": -0.1, "high": 0.1, "fraction": "1%"}),
    Operator("normal", "Ares", "add normal noise to a part of the weights", "weight",
             {"op": "gaussian_noise", "target": _KERNELS, "std": 0.1, "fraction": "1%"}),
    Operator("sign", "Ares", "negate a part of the weights", "weight",
             {"op": "negate", "target": _KERNELS, "fraction": "1%"}),
    Operator("percent", "Ares", "change a part of the weights by up to ±10 %", "weight",
             {"op": "uniform_noise", "target": _KERNELS, "mode": "multiply", "low": -0.1, "high": 0.1, "fraction": "1%"}),
    Operator("fixed-point bit", "Ares", "flip a bit of a fixed-point number", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": {"integer": 2, "fraction": 5}, "fraction": "1%"}, "of any width"),
    Operator("fp32 bit flip", "GoldenEye", "flip bits of float32", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "float32", "count": 1, "non_finite": "report"}),
    Operator("fp16 bit flip", "GoldenEye", "flip bits of float16", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "float16", "count": 1, "non_finite": "report"}),
    Operator("bf16 bit flip", "GoldenEye", "flip bits of bfloat16", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": "bfloat16", "count": 1, "non_finite": "report"}),
    Operator("float_n bit flip", "GoldenEye", "flip bits of floats of any width", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": {"exponent": 5, "mantissa": 2}, "count": 1, "non_finite": "report"}, "of any width; theirs are 5 and 10 by default"),
    Operator("fixed-point bit flip", "GoldenEye", "flip bits of fixed-point numbers", "weight",
             {"op": "bit_flip", "target": _KERNELS, "format": {"integer": 3, "fraction": 3}, "count": 1}, "in two's complement; theirs have a sign and a size"),
    Operator("block floating point bit flip", "GoldenEye", "flip bits of numbers that share an exponent", "weight",
             {"op": "block_bit_flip", "target": _KERNELS, "exponent": 8, "mantissa": 23, "count": 1}, "of a number; with `bits: exponent`, of the exponent"),
    Operator("bit flips in activations", "GoldenEye", "the same in a layer's output", "activation", note=_ACTIVATION),
    Operator("spatial patterns", "CLASSES", "faults in a row, column or block of a layer's output", "activation", note=_ACTIVATION),

    Operator("Discretize", "AIHWKit", "w to multiples of res·max|w|", "weight",
             {"op": "discretized_noise", "target": _KERNELS, "resolution": 0.1, "std": 0}),
    Operator("MultNormal", "AIHWKit", "w·(1 + N(0, std))", "weight",
             {"op": "gaussian_noise", "target": _KERNELS, "mode": "multiply", "std": 0.1}, "as with assumed_wmax 1; relative to max|w|, std is std_dev·max|w|"),
    Operator("AddNormal", "AIHWKit", "add N(0, std·max|w|)", "weight",
             {"op": "gaussian_noise", "target": _KERNELS, "std": 0.1, "relative_to": "max_abs"}),
    Operator("DiscretizeAddNormal", "AIHWKit", "Discretize, then AddNormal", "weight",
             {"op": "discretized_noise", "target": _KERNELS, "resolution": 0.1, "std": 0.1}),
    Operator("DoReFa", "AIHWKit", "tanh, scaled to ±0.6, then to multiples of res", "weight",
             {"op": "dorefa_quantize", "target": _KERNELS, "resolution": 0.1, "clip": 0.6}),
    Operator("Poly", "AIHWKit", "add N(0, σ), σ a polynomial of |w| / max|w|, in units of max|w|", "weight",
             {"op": "programming_noise", "target": _KERNELS, "std": 0.1, "g_max": 1.0, "keep_sign": False}),
    Operator("PCM", "AIHWKit", "programming, drift and read noise of phase-change memory", "weight",
             ({"op": "programming_noise", "target": _KERNELS}, {"op": "conductance_drift", "target": _KERNELS, "seconds": 3600.0}),
             "one cell for each weight, theirs two; noise is folded at 0, theirs cut off; ν is that of the conductance programmed, theirs of that aimed at"),
    Operator("ProgNoise", "AIHWKit", "the noise of programming a cell; w keeps its sign", "weight",
             {"op": "programming_noise", "target": _KERNELS}),
    Operator("DropConnect", "AIHWKit", "zero each weight with probability pdrop", "weight",
             {"op": "zero", "target": _KERNELS, "rate": 0.1}),

    Operator("random", "PyGAD", "add U(-1, 1) to 10 % of the genes", "weight",
             {"op": "uniform_noise", "target": "*", "low": -1, "high": 1, "fraction": "10%", "per": "all"}),
    Operator("swap", "PyGAD", "exchange two genes", "weight", {"op": "permute_genes", "target": "*", "kind": "swap"}),
    Operator("inversion", "PyGAD", "reverse a run of genes", "weight",
             {"op": "permute_genes", "target": "*", "kind": "inversion"}, "of any length; theirs is half the genome"),
    Operator("scramble", "PyGAD", "shuffle a run of genes", "weight",
             {"op": "permute_genes", "target": "*", "kind": "scramble"}, "of any length; theirs is half the genome"),
    Operator("adaptive", "PyGAD", "as random, on more genes of solutions that are less fit than the average", "weight",
             {"op": "uniform_noise", "target": "*", "low": -1, "high": 1, "fraction": "20%", "per": "all"}, "of the less fit; for others a smaller fraction"),
    Operator("weight mutation", "neat-python, TensorNEAT", "add N(0, 0.5) at rate 0.8, or draw anew at rate 0.1", "weight",
             {"op": "gaussian_noise", "target": "*", "std": 0.5, "rate": 0.8, "reset_rate": 0.1, "reset_std": 1.0}),
    Operator("add node", "neat-python, TensorNEAT", "split a connection by a node", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layer": {"type": "Dense", "units": "same", "activation": "relu"}, "initialize": "identity"}, _OF_LAYERS),
    Operator("delete node", "neat-python, TensorNEAT", "remove a node", "architecture",
             {"op": "remove_layer", "target": "dense_2"}, _OF_LAYERS),
    Operator("add connection", "neat-python, TensorNEAT", "connect two nodes", "architecture",
             _SKIP, _OF_LAYERS),
    Operator("delete connection", "neat-python, TensorNEAT", "remove a connection", "architecture",
             (_SKIP, {"op": "remove_layer", "target": "skip", "keep": "dense_1"}), _OF_LAYERS + "; the second step deletes one that the first added"),
    Operator("GaussianMutation", "EvoTorch", "add N(0, stdev), each with a probability", "weight",
             {"op": "gaussian_noise", "target": "*", "std": 0.1, "rate": 0.5}),
    Operator("PolynomialMutation", "EvoTorch", "add polynomial noise within bounds", "weight",
             {"op": "polynomial_noise", "target": "*", "low": -1.0, "high": 1.0, "eta": 20.0}, also=("polynomial",)),
    Operator("CosynePermutation", "EvoTorch", "permute each weight over a population", "weight",
             {"op": "crossover", "source": "other:", "target": "*", "rate": 0.5}, "of two; the second mutant is that of the other", also=("Cosyne",)),

    Operator("insert layer", "keras-surgeon", "insert a layer", "architecture",
             {"op": "insert_layer", "before": "dense_2", "layer": {"type": "Dropout", "rate": 0.5}}),
    Operator("delete layer", "keras-surgeon", "delete a layer", "architecture", {"op": "remove_layer", "target": {"type": "Dropout"}}),
    Operator("replace layer", "keras-surgeon", "put another layer in a layer's place", "architecture",
             {"op": "replace_layer", "target": "dense_1", "layer": {"type": "Dense", "units": "same", "activation": "elu"}}),
    Operator("delete channels", "keras-surgeon", "with the input slices of all who use them", "architecture",
             {"op": "remove_neurons", "target": "conv_1", "indices": [0, 3]}),
    Operator("group prune", "DepGraph", "prune coupled dimensions together", "architecture",
             {"op": "remove_neurons", "target": {"type": "Conv2D"}, "fraction": "50%", "rank": "smallest", "per": "all"}),
    Operator("Net2Wider", "Net2Net", "replicate neurons, predictions stay", "architecture",
             {"op": "widen_layer", "target": "dense_1", "factor": 1.5}),
    Operator("Net2Deeper", "Net2Net", "insert a layer that is the identity, predictions stay", "architecture",
             {"op": "deepen", "target": "dense_1"}),
    Operator("add skip", "network morphism", "add a connection past layers, predictions stay", "architecture",
             _ZERO_SKIP, "added with weights of 0, as theirs"),
    Operator("kernel growth", "network morphism", "pad a kernel with zeros, predictions stay", "architecture",
             {"op": "grow_kernel", "target": "conv_2", "kernel_size": 5}),
    Operator("parametric activation", "network morphism", "a PReLU that begins as the identity", "architecture",
             {"op": "insert_layer", "after": "dense_1", "layer": {"type": "PReLU", "alpha_initializer": "ones"}}),
    Operator("elastic kernel size", "Once-for-All", "keep the middle of a kernel", "architecture",
             {"op": "shrink_kernel", "target": "conv_2", "kernel_size": 1}, "without its learned transformation of the middle"),
    Operator("low-rank layer", "Denton et al. 2014", "replace a layer by two of lower rank, by SVD", "architecture",
             {"op": "factorize_layer", "target": "dense_1", "rank": "25%"}, also=("SVD", "low-rank factorisation")),
    Operator("low-rank filters", "Jaderberg et al. 2014", "replace a convolution by two of lower rank", "architecture",
             {"op": "factorize_layer", "target": "conv_2", "energy": "90%"}, "split into a spatial and a pointwise one; theirs are vertical and horizontal"),
    Operator("channel decomposition", "Zhang et al. 2016", "replace a convolution by one with fewer filters and a pointwise one", "architecture",
             {"op": "factorize_layer", "target": "conv_2", "rank": "50%"}, "of the kernel, and not of responses to data"),
    Operator("network decoupling", "Guo et al. 2018", "replace a convolution by depthwise and pointwise ones", "architecture",
             {"op": "factorize_layer", "target": "conv_2", "rank": 2, "method": "depthwise_separable"}, "one pair of layers with a depth multiplier, in the place of a sum of pairs"),
    Operator("insert Conv-BN-ReLU", "LEMONADE", "insert three layers, predictions stay", "architecture",
             {"op": "deepen", "target": "conv_1", "batch_normalization": True}),
    Operator("widen", "LEMONADE", "widen a layer, predictions stay", "architecture",
             {"op": "widen_layer", "target": "conv_1", "factor": 2.0}),
    Operator("skip", "LEMONADE", "add a connection past layers, predictions stay", "architecture",
             _ZERO_SKIP, "by addition"),
    Operator("drop layer", "LEMONADE", "remove a layer", "architecture", {"op": "remove_layer", "target": "dense_1"}),
    Operator("prune filters", "LEMONADE", "remove the filters of the smallest norm", "architecture",
             {"op": "remove_neurons", "target": "conv_1", "fraction": "25%", "rank": "smallest"}),
    Operator("conv to separable", "LEMONADE", "replace a convolution by a separable one", "architecture",
             {"op": "replace_layer", "target": "conv_2", "layer": {"type": "SeparableConv2D", "filters": "same", "kernel_size": 3, "padding": "same"}}, "its weights are new"),
    Operator("rewire an input", "regularised evolution", "give a layer another input, without loops", "architecture",
             {"op": "rewire", "target": "head", "to": "dense_1"}),
    Operator("change an op", "regularised evolution", "put a layer of another kind in a layer's place", "architecture",
             {"op": "replace_layer", "target": "conv_2", "layer": {"type": "SeparableConv2D", "filters": "same", "kernel_size": 5, "padding": "same"}}, "name it: not drawn"),
)
# fmt: on
