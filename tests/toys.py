"""Toy models: tensors in memory, as a store for the engine, and as specs to compile plans for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 by name)
import numpy as np

from mutspec.execute.engine import Effect, execute
from mutspec.graph.choice import Choice
from mutspec.graph.expression import Expression
from mutspec.graph.graph import Graph, GraphBuilder, Version
from mutspec.graph.schedule import schedule
from mutspec.keras_facts.roles import Group
from mutspec.language import Plan, plan_from
from mutspec.lowering.compile import Program, compile_plan
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
from mutspec.ops import catalogue

Tensors = Mapping[str, np.ndarray]

CHUNK = 1 << 16
"""How many entries a stream is drawn for at once, and summed: written down here again, as it may never change."""

GROUPS = {
    "kernel": Group.KERNELS,
    "recurrent_kernel": Group.KERNELS,
    "bias": Group.BIASES,
    "gamma": Group.NORMS,
    "moving_mean": Group.STATISTICS,
}
CATALOGUE = catalogue(plugins=False)


class MemoryStore:
    """Room for a computed tensor; reading what was not written, or after closing, is an error."""

    def __init__(self, size: int, dtype: np.dtype[Any]) -> None:
        self.values = np.zeros(size, dtype)
        self.is_written = np.zeros(size, bool)
        self.is_open = True

    def write(self, start: int, values: np.ndarray) -> None:
        assert self.is_open
        assert values.dtype == self.values.dtype
        assert not self.is_written[start : start + len(values)].any(), "computed twice"
        self.values[start : start + len(values)] = values
        self.is_written[start : start + len(values)] = True

    def read(self, start: int, stop: int) -> np.ndarray:
        assert self.is_open
        assert self.is_written[start:stop].all()
        return self.values[start:stop]

    def close(self) -> None:
        assert self.is_open, "closed twice"
        self.is_open = False


class ArrayHome:
    """Models in memory. Inputs are handed out read-only; every read is noted."""

    def __init__(self, tensors: Tensors, inputs: Mapping[str, Tensors] | None = None) -> None:
        self.inputs = {
            model: {path: _frozen(values) for path, values in each.items()}
            for model, each in {"": tensors, **(inputs or {})}.items()
        }
        self.results = {path: values.copy() for path, values in self.inputs[""].items()}
        self.reads: list[tuple[str, str, int, int]] = []
        self.few_reads: list[tuple[str, str, np.ndarray]] = []
        self.stores: list[MemoryStore] = []

    def read(self, model: str, path: str, start: int, stop: int) -> np.ndarray:
        values = self.inputs[model][path]
        assert 0 <= start <= stop <= len(values)
        self.reads.append((model, path, start, stop))
        return values[start:stop]

    def write(self, path: str, start: int, before: np.ndarray, after: np.ndarray) -> None:
        span = slice(start, start + len(after))
        assert before.tobytes() == self.inputs[""][path][span].tobytes()
        assert after.dtype == before.dtype
        self.results[path][span] = after

    def read_entries(self, model: str, path: str, entries: np.ndarray) -> np.ndarray:
        self.few_reads.append((model, path, entries))
        return self.inputs[model][path][entries]

    def write_entries(self, path: str, entries: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        assert before.tobytes() == self.inputs[""][path][entries].tobytes()
        assert after.dtype == before.dtype
        self.results[path][entries] = after

    def store(self, size: int, dtype: np.dtype[Any]) -> MemoryStore:
        self.stores.append(MemoryStore(size, dtype))
        return self.stores[-1]


def _frozen(values: np.ndarray) -> np.ndarray:
    flat = np.array(values).reshape(-1)
    flat.flags.writeable = False
    return flat


@dataclass(frozen=True)
class Outcome:
    """What running a graph over tensors in memory gave."""

    tensors: Tensors
    effects: Mapping[Version, Effect]
    home: ArrayHome

    def effect(self, name: str) -> Effect:
        """The effect of a version by its SSA name."""
        (effect,) = (effect for version, effect in self.effects.items() if version.name == name)
        return effect


def run_graph(graph: Graph, tensors: Tensors, inputs: Mapping[str, Tensors] | None = None, threads: int = 1) -> Outcome:
    """Execute a graph over tensors, and check that everything stored was given back."""
    home = ArrayHome(tensors, inputs)
    effects = execute(graph, home, threads=threads)
    assert not any(store.is_open for store in home.stores)
    results = {path: home.results[path].reshape(values.shape) for path, values in tensors.items()}
    return Outcome(results, effects, home)


@dataclass
class Toy:
    """A graph that is written by hand over tensors in memory."""

    tensors: Tensors
    inputs: Mapping[str, Tensors] = field(default_factory=dict)
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    steps: int = 0

    def __getitem__(self, path: str) -> Expression:
        model, _, name = path.rpartition(":")
        values = self.inputs[model][name] if model else self.tensors[path]
        shape, dtype = values.shape or (1,), values.dtype.name
        make = self.builder.base(model, name, shape, dtype) if model else self.builder.current(path, shape, dtype)
        return Expression(self.builder, make)

    def set(self, path: str, value: Expression, choice: Choice | None = None) -> None:
        """Make a value the tensor's next version, in the chosen entries."""
        before = self[path]
        after = value if choice is None else value.where(choice, before)
        self.builder.bind(path, before.node, after.node, self.steps, choice)
        self.steps += 1

    def run(self, threads: int = 1) -> Outcome:
        """Execute what was written so far."""
        return run_graph(self.builder.build(), self.tensors, self.inputs, threads)

    def value(self, expression: Expression) -> np.ndarray:
        """The value of a number or a small vector."""
        size = expression.shape or (1,)
        builder = deepcopy(self.builder)
        expression = Expression(builder, expression.node)
        toy = Toy({**self.tensors, "probe": np.zeros(size, expression.dtype)}, self.inputs, builder, self.steps)
        toy.set("probe", expression.along(0, size) if expression.shape else expression.spread(size))
        return toy.run().tensors["probe"].reshape(expression.shape)


def spec_of(tensors: Tensors) -> ModelSpec:
    """A model of these tensors; the last axis runs over output channels.

    Layers are Dense; LSTM if they have a recurrent kernel, Conv2D if they are called so.
    """
    specs = []
    for path, values in tensors.items():
        layer, _, role = path.rpartition("/")
        axis = values.ndim - 1 if values.ndim else None
        group = GROUPS.get(role, Group.OTHER)
        specs.append(TensorSpec(path, layer, role, group, values.shape, values.dtype.name, axis, origin=path))
    layers = []
    for layer in dict.fromkeys(spec.layer for spec in specs):
        kind = "LSTM" if f"{layer}/recurrent_kernel" in tensors else "Conv2D" if layer == "conv2d" else "Dense"
        layers.append(LayerSpec(layer, layer.rpartition("/")[2], kind, (kind, "Layer")))
    return ModelSpec("toy", "Sequential", tuple(layers), tuple(specs))


@dataclass(frozen=True)
class Mutant:
    """What a plan made of tensors in memory."""

    tensors: Tensors
    program: Program
    outcome: Outcome

    def touched(self, step: int = 0) -> Mapping[str, int | None]:
        """What the dry-run says is touched, by tensor."""
        return {write.tensor.path: write.touched for write in self.program.steps[step].writes}


def plan_of(*steps: Mapping[str, Any], **document: Any) -> Plan[Any]:
    """A plan of steps."""
    return plan_from({"steps": list(steps), **document}, CATALOGUE)


def mutate(
    tensors: Tensors,
    steps: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    inputs: Mapping[str, Tensors] | None = None,
    threads: int = 1,
    **document: Any,
) -> Mutant:
    """Apply a plan's steps to tensors in memory."""
    steps = [steps] if isinstance(steps, Mapping) else steps
    declared = {"inputs": {name: {} for name in inputs}} if inputs else {}
    plan = plan_of(*steps, **declared, **document)
    program = compile_plan(plan, spec_of(tensors), {name: spec_of(each) for name, each in (inputs or {}).items()})
    outcome = run_graph(program.graph, tensors, inputs, threads)
    return Mutant(outcome.tensors, program, outcome)


def passes_of(graph: Graph) -> list[str]:
    """The passes of a graph in short, such as `store a@1`."""
    names = []
    for one in schedule(graph):
        what = one.path or graph.nodes[one.node].primitive
        numbers = "".join(f"@{version.number}" for version in one.versions)
        names.append(f"{one.kind.value} {what}{numbers}")
    return names


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays are equal in dtype, shape and every bit."""
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


def _by_chunks(key: bytes, size: int, draw: Callable[[np.random.Philox, int], np.ndarray], attempt: int = 0) -> Any:
    """The draws of a stream, by NumPy's own Philox: a counter range of its own for every 2**16 entries."""
    parts = []
    for chunk in range(-(-size // CHUNK)):
        bits = np.random.Philox(key=int.from_bytes(key, "little"), counter=(chunk << 128) + (attempt << 192))
        parts.append(draw(bits, min(CHUNK, size - chunk * CHUNK)))
    return np.concatenate(parts) if parts else np.zeros(0)


def normal(key: bytes, size: int, dtype: str = "float32", attempt: int = 0) -> np.ndarray:
    """The standard normal draws of a stream."""
    real = np.dtype(dtype).type
    draws = _by_chunks(key, size, lambda bits, count: np.random.Generator(bits).standard_normal(count, real), attempt)
    return draws.astype(dtype)


def truncated_normal(key: bytes, size: int, dtype: str = "float32") -> np.ndarray:
    """The standard normal draws of a stream; what is beyond ±2 is taken from its next attempt, and so on."""
    values = normal(key, size, dtype)
    for attempt in range(1, 40):
        values = np.where(np.abs(values) > 2, normal(key, size, dtype, attempt), values)
    return values


def exponential(key: bytes, size: int, dtype: str = "float32") -> np.ndarray:
    """The standard exponential draws of a stream."""
    real = np.dtype(dtype).type
    draws = _by_chunks(key, size, lambda bits, count: np.random.Generator(bits).standard_exponential(count, real))
    return draws.astype(dtype)


def uniform(key: bytes, size: int, dtype: str = "float32") -> np.ndarray:
    """The uniform draws of a stream: 53 bits of each word, or 24 of each half."""
    if dtype == "float64":
        return _by_chunks(key, size, lambda bits, count: (bits.random_raw(count) >> 11) / 2.0**53)

    def drawn(bits: np.random.Philox, count: int) -> np.ndarray:
        halves = [half for word in bits.random_raw(count).tolist() for half in (word & 0xFFFFFFFF, word >> 32)]
        return np.array([(half >> 8) / 2.0**24 for half in halves[:count]], np.float32)

    return _by_chunks(key, size, drawn).astype(dtype)


def total(entries: np.ndarray) -> float:
    """A sum as the language defines it: blocks of 2**16 entries in order, in float64."""
    wide = entries.ravel().astype(np.float64)
    result = 0.0
    for start in range(0, len(wide), CHUNK):
        result += float(np.add.reduce(wide[start : start + CHUNK]))
    return result


def standard_deviation(values: np.ndarray) -> float:
    """The standard deviation as the language defines it: blocks of 2**16 entries in order, float64, two passes."""
    wide = values.ravel().astype(np.float64)
    mean = total(wide) / len(wide)
    return float(np.sqrt(total((wide - mean) ** 2) / len(wide)))


def layered(seed: int = 0) -> dict[str, np.ndarray]:
    """Two layers and more, all entries between 1 and 2."""
    random = np.random.default_rng(seed)
    shapes = {"d/kernel": (7, 11), "d/bias": (11,), "e/kernel": (3, 5, 2), "e/gamma": (2,), "f/kernel": (40,)}
    return {path: random.uniform(1, 2, shape).astype(np.float32) for path, shape in shapes.items()}
