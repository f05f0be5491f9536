"""Mistakes in steps on weights: each gets its place, what is wrong and a remedy, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"
RECURRENT = ROOT / "tests" / "data" / "old" / "keras_3.6.0" / "recurrent.keras"

MISTAKES: dict[str, tuple[str, ...]] = {
    # Keys and choices
    "scale, target: dense_1, «factr: 2": ("`scale` has no key `factr`", "did you mean `factor`"),
    "scale, target: dense_1, factor: 2, «units: neuron": ("`scale` has no key `units`", "did you mean `unit`"),
    "zero, target: dense_1, count: 1, «at_leest: 1": ("`zero` has no key `at_leest`", "did you mean `at_least`"),
    "permute_genes, target: dense_1, kind: swap, «count: 3": ("has no key `count`", "its keys are `id`, `op`"),
    "scale, target: dense_1, factor: 2, unit: «nueron, count: 1": ('not the text "nueron"', "did you mean `neuron`?"),
    "scale, target: dense_1, factor: 2, rank: «bigest, count: 1": ('not the text "bigest"', "`largest`?"),
    "gaussian_noise, target: dense_1, std: 1, relative_to: «stdev": ('not the text "stdev"', "did you mean `std`?"),
    "bit_flip, target: dense_1, format: «int4": ('not the text "int4"', "did you mean `int8`?"),
    "bit_flip, target: dense_1, bits: «expnent": ('not the text "expnent"', "did you mean `exponent`?"),
    "bit_flip, target: dense_1, bits: {first: 9, «lst: 30}": ("`bits` has no key `lst`", "did you mean `last`?"),
    "blend, target: dense_1, source: conv_1, t: 1, along: «spheric": ("`linear` or `spherical`", "`spherical`?"),
    "crossover, target: dense_1, source: conv_1, method: «two_point": ("`layers`, `one_point`", "`one_point`?"),
    "permute_genes, target: dense_1, kind: «inverted": ("takes `inversion`, `scramble` or `swap`",),
    "quantize, target: dense_1, bits: 8, granularity: «row": ("takes `channel` or `tensor`",),
    "«stuck_at, target: dense_1, value: 1": ("`stuck_at` needs the key `bits`", "{first: 23, last: 30}"),
    "«swap_weights, target: dense_1": ("`swap_weights` needs the key `other`", "changes places with"),
    "«add_difference, target: dense_1, plus: conv_1": ("`add_difference` needs the key `minus`", "`<input>:`"),
    # Amounts and units
    "scale, target: dense_1, factor: 2, rank: «largest": ("`rank` needs an amount", "add one of `fraction`, `count`"),
    "scale, target: dense_1, factor: 2, rank: «largest, indices: [0]": ("cannot be used together", "keep one of them"),
    "scale, target: dense_1, factor: 2, unit: «block, count: 1": ("blocks need a height and a width", "[4, 4]"),
    "scale, target: dense_1, factor: 2, unit: block, block: «[0, 4], count: 1": ("at least 1", "block: [4, 4]"),
    "scale, target: dense_1, factor: 2, unit: block, block: «[1, 2, 3], count: 1": ("or a length", "block: [4, 4]"),
    "scale, target: dense_1, factor: 2, block: «[4, 4], count: 1": ("the step has none", "`unit: block`"),
    "zero, target: logits, unit: block, block: [2, 2], rank: «smallest, count: 1": ("blocks are not", "rank rows, col"),
    "zero, target: logits, rank: smallest, count: 1, per: «all": ("a dry-run does not", "leave `per` out"),
    "zero, target: logits, rank: smallest, count: 1, per: «layer": ("a dry-run does not", "leave `per` out"),
    "zero, target: logits, count: «1, fraction: 0.1": ("and `count` cannot be used together", "keep one amount"),
    "zero, target: dense_1, at_least: «1": ("`at_least` needs an amount", "add one of `fraction`"),
    "zero, target: dense_1, per: «all": ("the step has no amount", "add one of `fraction`"),
    "zero, target: dense_1, indices: [0], per: «all": ("count within each tensor", "leave `per` out"),
    "zero, target: dense_1, unit: row, indices: [«512]": ("`dense_1/kernel`, which has 512 rows", "from 0 to 511"),
    "zero, target: dense_1, indices: «3": ("`indices` takes a list, not 3",),
    "zero, target: dense_1, count: «1.5": ("takes a whole number of at least 0, not 1.5",),
    "zero, target: dense_1, fraction: «150%": ("a percentage such as `1%`",),
    "zero, target: bn_1, unit: neuron, count: «99": ("`bn_1` has only 16 neurons", "lower it, use `fraction`"),
    # Neurons and gates
    "zero_neurons, target: «bn_1, count: 1": ("`bn_1` has no learned weights", "name them: `weights: "),
    "zero_neurons, target: «flatten, count: 1": ("`flatten` has no weights", "`mutspec inspect MODEL`"),
    "zero_neurons, target: logits, count: «11": ("`logits/kernel` has only 10 neurons", "lower it"),
    "zero_neurons, target: logits, indices: [3, «-7]": ("name the same neuron of `logits/kernel`", "once"),
    "zero_neurons, target: logits, unit: «row, count: 1": ("counts neurons", "leave `unit` out"),
    "shuffle_neurons, target: logits, count: 1, «bias: true": ("`shuffle_neurons` has no key `bias`", "its keys are"),
    "shuffle_neurons, target: logits, count: 1, rank: «largest": ("not take `rank`", "leave it out"),
    "«swap_neurons, target: logits": ("it needs an amount of neurons", "add `count: 2`"),
    "swap_neurons, target: logits, count: «1": ("fewer than two neurons", "`at_least: 2`"),
    "swap_neurons, target: logits, indices: «[1, 2, 3]": ("must name pairs", "an even number of neurons"),
    "swap_neurons, target: logits, count: 2, per: «all": ("cannot change places", "counted in each layer"),
    "zero, target: dense_1, gates: «forget": ("`dense_1/kernel` has no gates", "target LSTM and GRU layers alone"),
    "zero, target: gru, gates: [reset, «forget]": ("no gate `forget`, but update, reset, candidate", "name"),
    "zero, target: both_ways, gates: «update": ("no gate `update`, but input, forget, candi", "name gates"),
    "zero, target: gru, gates: update, count: 1, rank: «largest": ("only neurons are ranked", "say `unit: neuron`"),
    "zero, target: gru, gates: update, count: «99": ("`gru/kernel` has only 12 entries", "lower it"),
    "zero, target: gru, gates: «5": ("takes text or a list, not 5", 'write "5"'),
    # Bits
    "bit_flip, target: dense_1, bits: «32": ("`dense_1/kernel` has no bit 32 in float32", "bits run from 0 to 31"),
    "bit_flip, target: dense_1, bits: «16, format: float16": ("no bit 16 in float16", "bits run from 0 to 15"),
    "bit_flip, target: dense_1, bits: [3, «-1]": ("a whole number of at least 0, not -1",),
    "bit_flip, target: dense_1, bits: «[3, 3]": ("must name each bit once", "for example [30, 31]"),
    "bit_flip, target: dense_1, bits: «[]": ("and at least one", "for example [30, 31]"),
    "bit_flip, target: dense_1, bits: «{first: 9, last: 3}": ("bits 9 to 3 is empty", "swap the two"),
    "bit_flip, target: dense_1, scale: «0.1": ("`scale` is for `format: int8`", "add the format"),
    "bit_flip, target: dense_1, format: int8, scale: «0": ("takes a number above 0, not 0",),
    "bit_flip, target: dense_1, format: int8, bits: «mantissa": ("int8, which has no mantissa", "bits by number"),
    "bit_flip, target: dense_1, format: {exponent: 4, mantissa: 3}, bits: «8": ("no bit 8 in a float of 4", "0 to 7"),
    "bit_flip, target: dense_1, format: {exponent: «9, mantissa: 3}": ("takes a whole number from 2 to 8, not 9",),
    "bit_flip, target: dense_1, format: «{exponent: 4}": ("a mantissa, or is fixed", "exponent: 4, man"),
    "bit_flip, target: dense_1, format: «{exponent: 4, mantissa: 3, fraction: 1}": ("or is fixed", "fraction: 4"),
    "bit_flip, target: dense_1, format: {exponent: 4, «mantisa: 3}": ("has no key", "you mean `mantissa`?"),
    "bit_flip, target: dense_1, format: {integer: 2, fraction: 5}, bits: «exponent": ("which has no exp", "by number"),
    "stuck_at, target: dense_1, value: 1, bits: 0, format: «{integer: 2}": ("or is fixed", "{integer: 3"),
    "block_bit_flip, target: dense_1, shared_by: «12": ("`shared_by` is 12, which is not a power of", "for example 16"),
    "block_bit_flip, target: dense_1, shared_by: «131072": ("takes a whole number from 1 to 65536, not 131072",),
    "block_bit_flip, target: dense_1, bits: «16": ("no bit 16 in block floating point", "run from 0 to 15, the sign"),
    "block_bit_flip, target: dense_1, bits: «{first: 0, last: 999999999999}": ("no bit 16 in block", "0 to 15"),
    "block_bit_flip, target: dense_1, bits: «[6, 7]": ("exponent and bits of single weights", "in two steps"),
    "block_bit_flip, target: dense_1, bits: exponent, unit: «row": ("so `unit` does not apply", "leave it out"),
    "block_bit_flip, target: dense_1, bits: exponent, shared_by: 16, count: «9999": ("only 1,280 blocks", "lower it"),
    "bit_flip, target: dense_1, bits: «{first: 0, last: 999999999999}": ("no bit 32 in float32", "0 to 31"),
    "bit_flip, target: dense_1, rate_per_bit: 1e-3, count: «1": ("cannot be used together", "keep one of them"),
    "bit_flip, target: dense_1, rate_per_bit: 1e-3, gates: «input": ("cannot be used together", "keep one of them"),
    "bit_flip, target: dense_1, rate_per_bit: 1e-3, flip: «all": ("each bit is drawn", "leave `flip` out"),
    "«bit_flip, target: dense_1, rate_per_bit: 1e-12": ("the step touches nothing", "`allow_empty: true`"),
    "stuck_at, target: dense_1, bits: 3, value: «2": ("takes a whole number from 0 to 1, not 2",),
    # Other weights
    "blend, target: dense_1, source: «conv_9, t: 0.5": ("no layer is called `conv_9`", "did you mean `conv_2`"),
    "blend, target: dense_1, source: «logits, t: 0.5": ("(40×10) does not fit `dense_1/kernel` (512×40)", "one shape"),
    'blend, target: dense_1, source: «"tacher:", t: 0.5': ("declares no input `tacher`", "`inputs: {tacher: {}}`"),
    'blend, target: dense_1, source: «"other:dense_2", t: 0.5': ("in the input `other`, no layer", "`dense_1`?"),
    "blend, target: dense_1, source: conv_1, t: «half": ('takes a number or a list of values by target, not the te',),
    "blend, target: dense_1, source: tacher«:, t: 0.5": ("this is not YAML", "put the value in quotes"),
    "average, target: dense_1, sources: «[]": ("`sources` is empty, but needs at least 1",),
    "average, target: dense_1, sources: «conv_1": ("`sources` takes a list",),
    "average, target: dense_1, sources: [dense_1], shares: «[1]": ("there are 1 shares for 1 sources", "then one for"),
    "average, target: dense_1, sources: [dense_1], shares: «[1, -1]": ("add up to 0", "raise one"),
    "crossover, target: dense_1, source: conv_1, method: one_point, count: «3": ("not take `count`", "leave it out"),
    "swap_weights, target: dense_1, other: «logits": ("cannot change places with `logits/kernel`", "same structure"),
    "swap_weights, target: dense_1, other: «dense_1": ("a weight is on both sides", "name another layer"),
    'share_values, target: «"*"': ("cannot have the values of `conv_1/kernel`", "layers of one structure"),
    # Values
    "«prune_weights, target: dense_1": ("it needs an amount, or a pattern", "add `fraction: 30%`"),
    'prune_weights, target: dense_1, keep: "2:4", count: «3': ("cannot be used together", "keep one of them"),
    'prune_weights, target: dense_1, keep: "2:4", rank: «largest': ("cannot be used together", "keep one of them"),
    'prune_weights, target: dense_1, keep: «"4:2"': ("prunes nothing, or all", "such as 2:4"),
    'prune_weights, target: dense_1, keep: «"3:7"': ("no input axis of whole groups of 7", "a multiple of it"),
    "prune_weights, target: dense_1, keep: «2/4": ("takes text such as `2:4`",),
    "prune_weights, target: dense_1, fraction: 0.3, per: «all": ("a dry-run does not", "leave `per` out"),
    "«low_rank, target: dense_1/kernel": ("either `to_rank` or `energy`", "give one of them"),
    "«low_rank, target: dense_1/kernel, to_rank: 3, energy: 0.5": ("either `to_rank` or `energy`", "give one"),
    "low_rank, target: dense_1/kernel, to_rank: «41": ("matrix of 512×40, cannot be lowered", "the smaller of the two"),
    "«clip, target: dense_1": ("there is nothing to clip to", "give `min`, `max`, or a quantile"),
    "clip, target: dense_1, min: «1, max: 0": ("`min` (1) is above `max` (0)", "swap them"),
    "clip, target: dense_1, min: «0, min_quantile: 1%": ("cannot be used together", "keep one of them"),
    "clip, target: dense_1, min_quantile: «90%, max_quantile: 10%": ("(90%) is above `max_quantile`", "swap them"),
    "gaussian_noise, target: dense_1, std: «-0.1": ("takes a number of at least 0, not -0.1",),
    "gaussian_noise, target: dense_1, std: 1, mode: multiply, relative_to: «std": ("not have a unit", "leave `rela"),
    "gaussian_noise, target: dense_1, std: 1, bounds: «{}": ("neither `min` nor `max`", "give one"),
    "gaussian_noise, target: dense_1, std: 1, bounds: {min: «1, max: 0}": ("is above `max` (0)", "swap them"),
    "gaussian_noise, target: dense_1, std: 1, reset_rate: «0.1": ("`reset_rate` needs `rate`", "add `rate: 0.8`"),
    "gaussian_noise, target: dense_1, std: 1, rate: 95%, reset_rate: «0.1": ("add up to more than 1", "lower one"),
    "gaussian_noise, target: dense_1, std: 1, rate: 0.5, reset_rate: «0.1, rank: largest": ("of each entry", "`rank`"),
    "uniform_noise, target: dense_1, low: «1, high: 0": ("`low` (1) is above `high` (0)", "swap them"),
    "polynomial_noise, target: dense_1, low: «1, high: 1": ("no range from `low` (1) to `high` (1)", "smaller one as"),
    "polynomial_noise, target: dense_1, low: «-.inf, high: 1": ("no range from `low` (-inf)", "two finite numbers"),
    "polynomial_noise, target: dense_1, low: «[{value: 1}], high: 0": ("(0) for `dense_1/", "the smaller one as"),
    "polynomial_noise, target: dense_1, low: 0, high: 1, eta: «-1": ("takes a number of at least 0, not -1",),
    "discretized_noise, target: dense_1, std: 1, resolution: «0": ("takes a number above 0, not 0",),
    "programming_noise, target: dense_1, coefficients: «[]": ("is empty, but needs at least 1",),
    "conductance_drift, target: dense_1, seconds: «-1": ("takes a number of at least 0, not -1",),
    "conductance_drift, target: dense_1, seconds: 1, read_time: «30": ("(30 s) is longer than", "such as 250e-9"),
    "round, target: dense_1, decimals: «99": ("beyond what floats can hold", "from -30 to 30"),
    "quantize, target: dense_1, bits: «1": ("takes a whole number from 2 to 16, not 1",),
    "dorefa_quantize, target: dense_1, resolution: «0": ("takes a number above 0, not 0",),
    "dorefa_quantize, target: dense_1, resolution: 0.1, clip: «-1": ("takes a number above 0, not -1",),
    "binarize, target: dense_1, scale: «-1": ("`scale` must be above 0", "leave it out for the mean"),
    "reinitialize, target: dense_1, initializer: «glorot": ("`glorot` is not one that mutspec draws", "glorot_*"),
    "reinitialize, target: dense_1, initializer: «{class_name: normal, config: {std: 1}}": (
        "it has no `std`, but `mean`, `stddev`", "Keras's documentation"
    ),
    "reinitialize, target: dense_1, initializer: «{class_name: normal, config: {stddev: big}}": (
        "could not convert", "Keras's documentation"
    ),
    "reinitialize, target: dense_1, initializer: «{class_name: normal, config: 3}": (
        "`config` takes a mapping, not 3", "Keras's documentation"
    ),
    "reinitialize, target: dense_1, initializer: «{class_name: VarianceScaling, config: {mode: fan}}": (
        "`mode` takes `fan_in`, `fan_out`, `fan_avg`", "Keras's documentation"
    ),
    "shuffle, target: dense_1, rank: «largest, count: 3": ("not take `rank`", "name the units by `indices`"),
}  # fmt: skip
"""Steps, with « before what is wrong; what standard error must hold. Where it is one text, that says it all."""


@pytest.mark.parametrize("step", MISTAKES)
def test_a_mistake_says_where_and_what_to_do(cli, tmp_path, monkeypatch, step) -> None:
    before, _, behind = f"- {{op: {step}}}".partition("«")
    inputs = "inputs: {other: {}}\n" if '"other:' in step else ""
    (tmp_path / "plan.yaml").write_text(f"mutspec: 1\n{inputs}steps:\n{before}{behind}\n")
    monkeypatch.chdir(tmp_path)
    model = RECURRENT if "target: gru" in step or "both_ways" in step else DIGITS
    given = ("--input", f"other={DIGITS}") if inputs else ()
    result = cli("apply", "plan.yaml", str(model), "-o", "mutant.keras", *given)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"plan.yaml:{4 if inputs else 3}:{len(before) + 1}: "), result.err
    for words in MISTAKES[step]:
        assert words in result.err
    assert "\n  = " in result.err or len(MISTAKES[step]) == 1, f"no remedy: {result.err}"
    assert "a bug" not in result.err
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]
