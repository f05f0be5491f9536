"""The mutation operators of the literature and the tools, and which op of ours each of them is."""

# ruff: noqa: E501 (a table to read down)

from __future__ import annotations

from typing import NamedTuple


class Operator(NamedTuple):
    """One operator, or a family of alike ones, of one source.

    Arguments:
        name: as its authors call it.
        source: the paper or tool.
        meaning: what it does, with its defaults.
        level: what it changes: weight, neuron, architecture, state or activation.
        op: the op of ours that does the same; empty while there is none.
        written: the op's parameters that make it the same.
    """

    name: str
    source: str
    meaning: str
    level: str
    op: str = ""
    written: str = ""


# fmt: off
LITERATURE: tuple[Operator, ...] = (
    Operator("GF", "DeepMutation", "add N(0, 0.1) to a fraction of each weight's entries", "weight", "gaussian_noise", "std: 0.1, fraction: …"),
    Operator("GF, uniform", "DeepMutation", "add U(low, high) to a fraction of each weight's entries", "weight", "uniform_noise", "fraction: …"),
    Operator("WS", "DeepMutation", "shuffle the weights of an output neuron", "neuron"),
    Operator("NEB", "DeepMutation", "block a neuron: zero its weights", "neuron"),
    Operator("NAI", "DeepMutation", "negate a neuron's weights", "neuron"),
    Operator("NS", "DeepMutation", "switch two neurons", "neuron"),
    Operator("LD, LAm, AFRm", "DeepMutation", "remove or duplicate a layer, add one, activation to identity", "architecture"),
    Operator("GF", "DeepMutation++", "w·(1 + N(0, 0.5)) on max(1, ratio·all) entries", "weight", "gaussian_noise", "std: 0.5, relative_to: weight, fraction: …, per: all, at_least: 1"),
    Operator("WS, NEB, NAI, NS", "DeepMutation++", "by output neuron, bias included for NEB and NAI", "neuron"),
    Operator("LR, LA, LD", "DeepMutation++", "remove a layer, insert an activation, duplicate a layer", "architecture"),
    Operator("RNN state and gate operators", "DeepMutation++", "clear, reset, GF and precision of states and gates", "state"),
    Operator("RNN weight GF", "DeepMutation++", "GF on recurrent kernels, ratio 0.01", "weight", "gaussian_noise", "target: {weights: recurrent_kernel}, relative_to: weight, fraction: 1%"),
    Operator("RNN weight binarise, precision", "DeepMutation++", "quantise the weights of a recurrent layer", "weight"),
    Operator("GF", "LEMON", "std 0.1·std(tensor), ratio 0.3, one layer", "weight", "gaussian_noise", "std: 0.1, relative_to: std, fraction: 0.3, target: {pick: {random: 1}}"),
    Operator("WS, NEB, NAI, NS", "LEMON", "as DeepMutation, one layer each", "neuron"),
    Operator("ARem, ARep, LA, LC, LR, LS, MLA", "LEMON", "remove or replace an activation; add, copy, remove, switch layers", "architecture"),
    Operator("weights_fuzzing", "PMT", "w + mask·N(0, 1)·magnitude·|w|, ratio 0.01–0.2", "weight", "gaussian_noise", "relative_to: weight, rate: …"),
    Operator("neurons_freezing", "PMT", "zero kernel and bias of max(1, ratio·out) units", "neuron"),
    Operator("CW", "DeepMAACC", "kernel and bias × 1.1, one neuron at a time", "neuron"),
    Operator("WI", "MuFF", "reduce a weight's magnitude", "weight", "scale", "factor below 1, count: 1"),
    Operator("NI", "MuFF", "suppress a neuron", "neuron"),
    Operator("block one cell", "Xavier", "zero a bias, kernel cell or edge by index", "weight", "zero", "indices: [i]"),
    Operator("change one cell", "Xavier", "set a bias, kernel cell or edge by index", "weight", "fill", "indices: [i]"),
    Operator("negate one cell", "Xavier", "negate a bias, kernel cell or edge by index", "weight", "scale", "factor: -1, indices: [i]"),
    Operator("reciprocal of one cell", "Xavier", "w → 1/w by index", "weight"),
    Operator("zeros", "TensorFI 2", "zero a percentage of variables' entries", "weight", "zero", "fraction: …"),
    Operator("random", "TensorFI 2", "replace a number of entries by U[0, 1)", "weight"),
    Operator("bit flips", "TensorFI 2", "flip bit 0–31, or a random one", "weight"),
    Operator("zeros", "TF-Injector", "zero a variable by index", "weight", "zero", "target: a weight's path"),
    Operator("shuffle_params, mutate", "TF-Injector", "shuffle, or flip bits of, a variable", "weight"),
    Operator("RandomBit, SpecificBit", "InjectTF2", "flip a bit of one element per sample", "activation"),
    Operator("zero weight", "PyTorchFI", "zero one weight at a random place", "weight", "zero", "count: 1, per: all"),
    Operator("random_weight", "PyTorchFI", "replace one weight by U(-1, 1)", "weight"),
    Operator("single bit flip", "PyTorchFI", "flip a bit of an 8-bit quantised value", "weight"),
    Operator("number, bit flip in a range", "PyTorchALFI", "on neurons or weights, by layer type", "weight"),
    Operator("set zero, set value", "MRFI", "at fixed places, by count or rate (1e-4)", "weight", "fill", "value: …, rate: 1e-4"),
    Operator("NormalDisturb", "MRFI", "add N(0, 1) by count or rate", "weight", "gaussian_noise", "std: 1, rate: 1e-4"),
    Operator("UniformDisturb", "MRFI", "add U(-1, 1) by count or rate", "weight", "uniform_noise", "low: -1, high: 1, rate: 1e-4"),
    Operator("bit flips, random values", "MRFI", "integer and float flips, U(-1, 1), N(0, 1)", "weight"),
    Operator("percent", "Ares", "w ± 10 %", "weight", "uniform_noise", "low: -0.1, high: 0.1, relative_to: weight, fraction: …"),
    Operator("uniform, normal", "Ares", "noise on a fraction of weights", "weight", "gaussian_noise", "fraction: …"),
    Operator("sign", "Ares", "negate a fraction of weights", "weight", "scale", "factor: -1, fraction: …"),
    Operator("fixed-point bit", "Ares", "flip a bit of a fixed-point number", "weight"),
    Operator("bit flips by number format", "GoldenEye", "fp32, fp16, bf16, float_n, fixed and block floating point", "weight"),
    Operator("spatial patterns", "CLASSES", "a row, column or block of a layer's output", "activation"),
    Operator("AddNormal", "AIHWKit", "add N(0, std·max|w|)", "weight", "gaussian_noise", "relative_to: max_abs"),
    Operator("MultNormal", "AIHWKit", "w·(1 + N(0, std))", "weight", "gaussian_noise", "relative_to: weight"),
    Operator("Discretize, DoReFa, Poly, PCM, ProgNoise", "AIHWKit", "hardware models of stored weights", "weight"),
    Operator("DropConnect", "AIHWKit", "zero each weight with probability pdrop", "weight", "zero", "rate: …"),
    Operator("random mutation", "PyGAD", "add U(-1, 1) to 10 % of the genes", "weight", "uniform_noise", "low: -1, high: 1, fraction: 10%, per: all"),
    Operator("swap, inversion, scramble, adaptive", "PyGAD", "permute genes of the flat weight vector", "weight"),
    Operator("weight mutation", "neat-python, TensorNEAT", "add N(0, 0.5) at rate 0.8", "weight", "gaussian_noise", "std: 0.5, rate: 0.8"),
    Operator("replace, add and delete node or connection", "neat-python, TensorNEAT", "new values, new topology", "architecture"),
    Operator("GaussianMutation", "EvoTorch", "add N(0, stdev) with a probability", "weight", "gaussian_noise", "rate: …"),
    Operator("polynomial, Cosyne", "EvoTorch", "evolutionary mutations", "weight"),
    Operator("insert, delete, replace layer; delete channels", "keras-surgeon", "with every consumer's input slices", "architecture"),
    Operator("group prune", "DepGraph", "coupled dimensions, pruned together", "architecture"),
    Operator("Net2Wider, Net2Deeper", "Net2Net", "widen or deepen, function-preserving", "architecture"),
    Operator("skip, kernel growth, parametric activation", "network morphism", "function-preserving growth", "architecture"),
    Operator("insert, widen, skip; drop, prune, separable", "LEMONADE", "first group exact, second approximate", "architecture"),
    Operator("rewire, change an op", "regularised evolution", "no loops; the child must differ from its parent", "architecture"),
)
# fmt: on
