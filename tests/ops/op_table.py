"""What the laws are drawn over: the ops of the table in tests/formulas.py, what their steps may say, and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mutspec.cli.manual import manual
from tests.formulas import FORMULAS
from tests.oracle import NEURON_OPS, Step
from tests.toys import CATALOGUE, Tensors

LAW = settings(suppress_health_check=[HealthCheck.too_slow])
NOISES = (
    "gaussian_noise",
    "uniform_noise",
    "laplace_noise",
    "polynomial_noise",
    "discretized_noise",
    "programming_noise",
    "conductance_drift",
)
UNITS = ["absolute", "std", "max_abs", "channel_max", "weight"]

# What steps may say.

SIZED = st.sampled_from([0.0, 0.25, 0.1, 1.0, 3.7])
SIGNED = st.sampled_from([-1.0, 0.9, 1.1, 0.0])


def keys(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.fixed_dictionaries(strategies)


def maybe(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.fixed_dictionaries({}, optional=strategies)


def both(one: st.SearchStrategy[Step], two: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    return st.builds(lambda left, right: {**left, **right}, one, two)


RELATIVE = maybe(relative_to=st.sampled_from(UNITS))
NOISE = both(
    st.one_of(RELATIVE, st.sampled_from([{"mode": "multiply"}, {"mode": "add"}])),
    maybe(bounds=st.sampled_from([{"min": 0.75}, {"max": 1.25}, {"min": -0.5, "max": 1.0}])),
)
BITS = maybe(bits=st.sampled_from([0, 7, [0, 2, 6], {"first": 1, "last": 5}]))
SIGNED_BITS = st.one_of(BITS, st.just({"bits": "sign"}))
FLOAT_BITS = st.one_of(BITS, maybe(bits=st.sampled_from(["sign", "exponent", "mantissa"])))
MINIFLOATS = [{"exponent": 5, "mantissa": 2}, {"exponent": 3, "mantissa": 4}, {"exponent": 2, "mantissa": 7}]
FIXED = [{"integer": 1, "fraction": 6}, {"integer": 7, "fraction": 0}, {"integer": 0, "fraction": 9}]
FORMS = st.one_of(
    both(FLOAT_BITS, keys(format=st.sampled_from(MINIFLOATS))),
    both(SIGNED_BITS, keys(format=st.sampled_from(FIXED))),
    both(FLOAT_BITS, maybe(format=st.sampled_from(["stored", "float32", "float16", "bfloat16"]))),
    both(both(SIGNED_BITS, st.just({"format": "int8"})), maybe(scale=st.sampled_from([0.01, 0.5]))),
)
SHARING = maybe(
    exponent=st.sampled_from([2, 5]), mantissa=st.sampled_from([1, 4, 10]), shared_by=st.sampled_from([1, 2, 8])
)
INITIALIZERS: tuple[Any, ...] = (
    "zeros", "ones", "random_normal", "random_uniform", "truncated_normal",
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
    {"class_name": "constant", "config": {"value": 0.3}},
    {"class_name": "random_normal", "config": {"mean": 2.0, "stddev": 0.5}},
    {"class_name": "random_uniform", "config": {"minval": -1.0, "maxval": 3.0}},
    {"class_name": "truncated_normal", "config": {"mean": -1.0}},
)  # fmt: skip
_PARAMETERS: Mapping[str, st.SearchStrategy[Step]] = {
    "gaussian_noise": both(keys(std=SIZED), NOISE),
    "uniform_noise": both(keys(low=SIZED.map(lambda x: -x), high=SIZED), NOISE),
    "laplace_noise": both(keys(scale=SIZED), NOISE),
    "polynomial_noise": both(
        st.sampled_from([{"low": -3, "high": 3}, {"low": 0.75, "high": 1.25}]),
        maybe(eta=st.sampled_from([0, 1.0, 3.5])),
    ),
    "discretized_noise": both(keys(std=SIZED, resolution=st.sampled_from([0.1, 0.5, 2.0])), RELATIVE),
    "programming_noise": both(
        maybe(
            std=SIZED,
            coefficients=st.sampled_from([[1.0], [0.5, -4.0], [0.1, 0.2, 0.3, 0.4]]),
            g_max=st.sampled_from([1.0, 25.0]),
            keep_sign=st.booleans(),
        ),
        RELATIVE,
    ),
    "conductance_drift": both(
        both(keys(seconds=st.sampled_from([0.0, 3600.0, 1e8])), RELATIVE),
        maybe(
            drift=st.sampled_from([0.0, 2.0]),
            read_noise=st.sampled_from([0.0, 5.0]),
            first_read=st.sampled_from([1.0, 100.0]),
            read_time=st.sampled_from([1e-6, 1e-3]),
        ),
    ),
    "scale": keys(factor=SIGNED),
    "shift": both(keys(by=SIGNED), RELATIVE),
    "negate": st.just({}),
    "reciprocal": st.just({}),
    "clip": st.sampled_from([{"min": 1.0}, {"max": 0.75}, {"min": -0.5, "max": 1.0}]),
    "reinitialize": keys(initializer=st.sampled_from(INITIALIZERS)),
    "fill": keys(value=st.sampled_from([0.5, -2.0, 7.0])),
    "zero": st.just({}),
    "round": keys(decimals=st.integers(-1, 3)),
    "quantize": both(
        keys(bits=st.sampled_from([2, 4, 8, 16])),
        maybe(scheme=st.sampled_from(["symmetric", "affine"]), granularity=st.sampled_from(["tensor", "channel"])),
    ),
    "dorefa_quantize": both(keys(resolution=st.sampled_from([0.1, 0.02])), maybe(clip=st.sampled_from([1.0, 3.0]))),
    "binarize": maybe(scale=st.sampled_from([1.0, 0.3])),
    "prune_weights": st.just({}),
    "shuffle": st.just({}),
    "bit_flip": both(FORMS, st.sampled_from([{}, {"flip": "all"}])),
    "stuck_at": both(both(FORMS, keys(value=st.integers(0, 1))), keys(bits=st.sampled_from([0, [1, 6], 7]))),
    "block_bit_flip": both(SHARING, maybe(bits=st.sampled_from([0, "mantissa", "sign"]))),
    "zero_neurons": maybe(bias=st.booleans()),
    "negate_neurons": maybe(bias=st.booleans()),
    "scale_neurons": both(keys(factor=SIGNED), maybe(bias=st.booleans())),
    "shuffle_neurons": st.just({}),
    "swap_neurons": maybe(bias=st.booleans()),
    "blend": both(keys(t=st.sampled_from([0.0, 0.3, 1.0, 1.5])), st.just({"source": "other:"})),
    "average": both(
        maybe(shares=st.sampled_from([[1.0, 2.0, 1.0], [0.5, 0.0, 0.25], [-1.0, 1.0, 1.0]])),
        st.just({"sources": ["other:", "third:"]}),
    ),
    "add_difference": both(maybe(factor=SIGNED), st.just({"plus": "other:", "minus": "third:"})),
    "crossover": st.just({"source": "other:"}),
}
"""What steps of an op may say. Those of an op that is not here say what its manual's example says."""

NUMERIC = ("low_rank",)
"""Ops with a formula that holds up to rounding alone."""
WEIGHT_OPS = tuple(op for op in FORMULAS if op not in NUMERIC)


def own_keys(op: str) -> Step:
    """The keys of the example in an op's manual, without its target and its amount."""
    common = ("op", "target", "fraction", "count", "rate", "indices", "at_least", "per")
    return {key: value for key, value in manual(op, CATALOGUE[op])["example"].items() if key not in common}


PARAMETERS = {op: _PARAMETERS[op] if op in _PARAMETERS else st.just(own_keys(op)) for op in WEIGHT_OPS}

BITS_8 = keys(bits=st.sampled_from([0, 7, [0, 2, 6], {"first": 1, "last": 5}]))
OF_INTEGERS: Mapping[str, st.SearchStrategy[Step]] = {
    "fill": keys(value=st.sampled_from([7, -128, 127])),
    "zero": st.just({}),
    "shuffle": st.just({}),
    "bit_flip": both(st.one_of(BITS_8, st.just({"bits": "sign"})), st.sampled_from([{}, {"flip": "all"}])),
    "stuck_at": both(BITS_8, keys(value=st.integers(0, 1))),
    "crossover": st.just({"source": "other:"}),
}
"""The ops that mean something for integers too."""

BLOCKS = st.one_of(
    st.just({}),
    st.sampled_from([{"fraction": 0.3}, {"rate": 0.5}, {"count": 1}, {"indices": [-1]}, {"count": 1, "per": "all"}]),
)
SMALL_RATES = st.sampled_from([0.0, 0.03, 0.5, 1.0])
OTHERWISE: Mapping[str, st.SearchStrategy[Step]] = {
    "gaussian_noise": both(
        both(
            keys(std=SIZED, rate=st.sampled_from([0.0, 0.25, 0.5])), keys(reset_rate=st.sampled_from([0.0, 0.3, 0.5]))
        ),
        both(NOISE, maybe(reset_std=SIZED)),
    ),
    "bit_flip": both(FORMS, keys(rate_per_bit=SMALL_RATES)),
    "block_bit_flip": both(both(SHARING, BLOCKS), st.just({"bits": "exponent"})),
    "crossover": st.one_of(
        st.just({"source": "other:", "method": "one_point"}),
        both(st.just({"source": "other:", "method": "layers"}), maybe(rate=SMALL_RATES)),
    ),
}
"""What ops say instead of an amount."""
RANKLESS = ("shuffle", "shuffle_neurons", "swap_neurons", "crossover")

TENTHS = st.integers(0, 20).map(lambda n: n / 20)
COUNTED = st.one_of(TENTHS.map(lambda f: {"fraction": f}), TENTHS.map(lambda f: {"rate": f}))
OVER = maybe(per=st.sampled_from(["tensor", "layer", "all"]), at_least=st.integers(0, 3))
NAMED = st.sampled_from([{"count": 1}, {"count": 1, "per": "all"}, {"indices": [0]}, {"indices": [-1]}])
ENTRIES = st.one_of(st.just({}), both(COUNTED, OVER), NAMED)
UNIT = st.sampled_from(
    [
        {},
        {"unit": "row"},
        {"unit": "column"},
        {"unit": "neuron"},
        {"unit": "block", "block": [2, 3]},
        {"unit": "block", "block": [5]},
    ]
)
RANKED = st.sampled_from([{"rank": "smallest"}, {"rank": "largest"}])
RANKED_UNITS = st.sampled_from([{}, {"unit": "row"}, {"unit": "column"}, {"unit": "neuron"}])
SIMPLE = both(st.one_of(COUNTED, st.just({"count": 1})), maybe(at_least=st.integers(0, 3)))
AMOUNTS = st.one_of(ENTRIES, both(UNIT, ENTRIES), both(both(SIMPLE, RANKED), RANKED_UNITS))


def amounts(op: str) -> st.SearchStrategy[Step]:
    """What a step of an op may say about how much it touches."""
    if op == "prune_weights":
        return both(both(SIMPLE, st.one_of(st.just({}), RANKED)), RANKED_UNITS)
    if op == "swap_neurons":
        return st.one_of(both(COUNTED, maybe(at_least=st.integers(0, 3))), st.sampled_from([{"count": 1}]))
    if op == "shuffle_neurons":
        return ENTRIES
    if op in NEURON_OPS:
        return st.one_of(ENTRIES, both(SIMPLE, RANKED))
    if op in RANKLESS:
        return both(UNIT, ENTRIES)
    return AMOUNTS


SHAPES = st.lists(st.integers(1, 4), max_size=5).map(tuple)
PATHS = ("d/kernel", "d/bias", "e/kernel", "e/gamma", "e/moving_mean", "f/kernel")
TARGETS = ("d/kernel", "d/bias", "e/kernel", "e/gamma")
TARGET = ["d", {"name": "e"}]


@st.composite
def steps(
    draw: st.DrawFn,
    ops: tuple[str, ...] = WEIGHT_OPS,
    parameters: Mapping[str, st.SearchStrategy[Step]] = PARAMETERS,
    *,
    otherwise: bool = True,
) -> Step:
    op = draw(st.sampled_from(ops))
    step = {"op": op, "target": TARGET, "allow_empty": True, "non_finite": "report", "seed": draw(st.integers(0, 5))}
    if otherwise and op in OTHERWISE and draw(st.integers(0, 3)) == 0:
        return {**step, **draw(OTHERWISE[op])}
    return _sensible({**step, **draw(parameters[op]), **draw(amounts(op))})


def _sensible(step: Step) -> Step:
    """A step without what would be refused: `per` and `at_least` without an amount, with indices, or with a rank."""
    has_amount = {"fraction", "rate", "count"} & step.keys()
    unit = "neuron" if step["op"] in NEURON_OPS else step.get("unit", "entry")
    if not has_amount:
        step = {key: value for key, value in step.items() if key not in ("per", "at_least")}
    if "rank" in step or step["op"] == "prune_weights":
        step.pop("per", None)
    if step["op"] == "swap_neurons" and step.get("per") == "all":
        step.pop("per")
    if unit != "block":
        step.pop("block", None)
    return step


@st.composite
def models(draw: st.DrawFn, dtypes: tuple[str, ...] = ("float32", "float64", "float16", "bfloat16")) -> Tensors:
    dtype = draw(st.sampled_from(dtypes))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    if "float" not in dtype:
        return {path: random.choice([-128, -127, -1, 0, 5, 127], draw(SHAPES)).astype(dtype) for path in PATHS}
    low, high = draw(st.sampled_from([(0.5, 2), (-2, 2)]))
    return {path: np.asarray(random.uniform(low, high, draw(SHAPES))).astype(dtype) for path in PATHS}


def others(tensors: Tensors) -> dict[str, Tensors]:
    """Two models of the same structure, of other values."""
    random = np.random.default_rng(99)
    return {
        name: {
            path: np.asarray(random.permutation(values.ravel()).reshape(values.shape) * factor).astype(values.dtype)
            for path, values in tensors.items()
        }
        for name, factor in (("other", -1), ("third", 2))
    }


def inputs_for(step: Step, tensors: Tensors) -> dict[str, Tensors] | None:
    """The other models that a step needs."""
    sources = [step.get("source"), step.get("plus"), *step.get("sources", ())]
    return others(tensors) if any(sources) else None


def fitting(step: Step, tensors: Tensors) -> Tensors:
    """Weights that a step can be applied to: numbers have neither channels nor neurons."""
    needs_a_channel = (
        step.get("relative_to") == "channel_max"
        or step.get("granularity") == "channel"
        or step.get("unit") == "neuron"
        or step["op"] in NEURON_OPS
    )
    if not needs_a_channel:
        return tensors
    return {path: values if values.ndim else values.reshape(1) for path, values in tensors.items()}


SOME: Mapping[str, Step] = {
    "gaussian_noise": {"std": 0.5, "relative_to": "weight"},
    "uniform_noise": {"low": 0.5, "high": 1.0},
    "laplace_noise": {"scale": 0.5},
    "polynomial_noise": {"low": 0.0, "high": 3.0, "eta": 1.0},
    "discretized_noise": {"resolution": 0.3, "std": 0.5},
    "programming_noise": {"std": 5.0},
    "conductance_drift": {"seconds": 1e6},
    "scale": {"factor": 3.0},
    "shift": {"by": 0.5},
    "negate": {},
    "reciprocal": {},
    "clip": {"max": 0.5},
    "reinitialize": {"initializer": {"class_name": "random_uniform", "config": {"minval": -1, "maxval": 1}}},
    "fill": {"value": 7.0},
    "zero": {},
    "round": {"decimals": -1},
    "dorefa_quantize": {"resolution": 0.25},
    "binarize": {"scale": 7.0},
    "bit_flip": {"bits": "mantissa"},
    "stuck_at": {"bits": "sign", "value": 1},
    "block_bit_flip": {"bits": "mantissa", "mantissa": 10, "shared_by": 16},
    "blend": {"source": "other:", "t": 0.5},
    "average": {"sources": ["other:", "third:"]},
    "add_difference": {"plus": "other:", "minus": "third:"},
    "crossover": {"source": "other:"},
    "prune_weights": {},
    "zero_neurons": {"bias": True},
    "negate_neurons": {"bias": True},
    "scale_neurons": {"factor": 3.0, "bias": True},
}
"""Parameters with which each op changes every entry that it touches, of tensors between 1 and 2."""
BY_ENTRY = tuple(op for op in SOME if op not in NEURON_OPS and op != "prune_weights")
"""The ops that touch any amount of entries, over any number of tensors, and change each of them."""
REARRANGING: Mapping[str, Step] = {"shuffle": {}, "shuffle_neurons": {}, "swap_neurons": {"bias": True}}
"""Ops that may leave an entry that they touch as it was."""
DRAWING = (*NOISES, "reinitialize", "bit_flip", "block_bit_flip", "crossover", "shuffle", "shuffle_neurons")
"""The ops that draw more than what to touch."""


def example(op: str, **keys: Any) -> Step:
    """A step of an op that changes what it touches, on the layers `d` and `e`."""
    return {"op": op, "target": TARGET, **{**SOME, **REARRANGING, "quantize": {"bits": 2}}[op], **keys}
