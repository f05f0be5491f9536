"""Rules of sums of products by an equation: EinsumDense, and the operation `einsum`."""

from __future__ import annotations

from dataclasses import replace

from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.structure.coupling.axis_call import AxisCall, Traced, UncoupledError, Use
from mutspec.structure.coupling.labels import Axis
from mutspec.structure.coupling.merging import combined, operands
from mutspec.structure.coupling.patterns import follow


def _tokens(subscripts: str) -> list[str]:
    """Returns the axes of a tensor: letters, and perhaps `...`."""
    start, ellipsis, end = subscripts.replace(" ", "").partition("...")
    return [*start, *([ellipsis] if ellipsis else []), *end]


_SIGN = {Use.SUMS: "<", Use.PRODUCES: ">", Use.SCALES: "="}


def einsum_dense(call: AxisCall) -> Traced:
    """A letter of the kernel is summed over if the output does not have it, and made if the input does not."""
    equation = str(call.config["equation"])
    before, _, after = equation.partition("->")
    tensor, _, kernel = (_tokens(part) for part in before.partition(","))
    output = _tokens(after)
    if len(set(kernel)) < len(kernel) or "..." in kernel:
        raise UncoupledError(f"has the equation {equation}")

    def use(letter: str) -> Use:
        return Use.SUMS if letter not in output else Use.SCALES if letter in tensor else Use.PRODUCES

    def signed(letters: list[str]) -> str:
        return " ".join(f"{_SIGN[use(each)]} {each}" for each in letters)

    letters = [each for each in output if each != "..."]
    bias = letters[min(map(letters.index, call.config.get("bias_axes") or letters[-1])) :]
    made = [each for each in kernel if use(each) is Use.PRODUCES]
    weights = {
        "kernel": signed(kernel),
        "bias": " ".join(each if each in (call.config.get("bias_axes") or "") else "_" for each in bias),
        "kernel_scale": " ".join(each if each in (*made, "...") else "_" for each in output),
        "lora_kernel_a": f"{signed(kernel[:-1])} _",
        "lora_kernel_b": f"_ {signed(kernel[-1:])}",
    }
    if output[-1] == "...":
        weights["bias"] += " ..."
    stated = call.config["output_shape"]
    counted = letters if "..." in output[:1] else letters[1:]
    if isinstance(stated, list | tuple):
        extents = [each if extent is not None else "_" for each, extent in zip(counted, stated, strict=True)]
    else:
        extents = counted
    axes = LayerAxes(
        f"{' '.join(tensor)} -> {' '.join(output)}", weights, {"output_shape": " ".join(extents)},
        made={each: _extent(call, output, each) for each in made},
    )  # fmt: skip
    traced = follow(axes, call)
    widths = {each: labels for each in made if (labels := _labels(traced, output, each)) is not None}
    return replace(traced, widths=widths)


def _extent(call: AxisCall, output: list[str], letter: str) -> int:
    found = call.outputs[0][_place(output, letter)]
    if found is None:
        raise UncoupledError(f"has an axis {letter} of unknown extent")
    return found


def _labels(traced: Traced, output: list[str], letter: str) -> tuple[int, ...] | None:
    return traced.outputs[0][_place(output, letter)]


def _place(output: list[str], letter: str) -> int:
    """Returns the place of a letter in a tensor, counted from the end if it comes after `...`."""
    at = output.index(letter)
    return at - len(output) if "..." in output[:at] else at


# Operations


def matmul(call: AxisCall) -> Traced:
    """The last axis of one tensor and the last but one of the other are summed over."""
    (one, shape), (other, other_shape) = operands(call, 2)
    if min(len(shape), len(other_shape)) < 2:
        raise UncoupledError("multiplies a vector")
    batch = combined(call, [(one[:-2], shape[:-2]), (other[:-2], other_shape[:-2])])
    why = "sums over an axis of which only one tensor has channels"
    call.note_products(call.tied(one[-1], other[-2], why), call.inputs)
    return Traced(((*batch.outputs[0], one[-2], other[-1]),))


def einsum(call: AxisCall) -> Traced:
    """Axes of one letter are alike. Those that the output does not have are summed over."""
    equation = str(call.config.get("subscripts", "")).replace(" ", "")
    before, arrow, after = equation.partition("->")
    terms = before.split(",")
    if not arrow or "..." in equation:
        raise UncoupledError(f"has the equation {equation}, which does not name all axes")
    named: dict[str, Axis] = {}
    for letters, (axes, shape) in zip(terms, operands(call, len(terms)), strict=True):
        if len(letters) != len(axes):
            raise UncoupledError(f"has the equation {equation} for a tensor of rank {len(shape)}")
        for letter, axis in zip(letters, axes, strict=True):
            why = f"computes {equation}, in which not all axes {letter} have channels"
            named[letter] = call.tied(named[letter], axis, why) if letter in named else axis
    for letter in named.keys() - set(after):
        count = sum(letter in letters for letters in terms)
        if count == 1:
            call.note_summed(named[letter], call.inputs, "sums over all channels")
        else:
            call.note_products(named[letter], call.inputs)
    return Traced((tuple(named[letter] for letter in after),))
