"""Flow: what shapes follow from an edit, from where it was made to where shapes stop changing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mutspec.errors import ModelError
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.outline import join
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.model.spec import LayerSpec, TensorRef, TensorSpec
from mutspec.structure.network import Entry, Network, called, input_type, refs

Weights = Callable[[str], Mapping[str, TensorSpec]]
"""The weights that a layer has, by their paths below the model it stands in; by the layer's path."""


@dataclass
class Flow:
    """One pass over a network after an edit.

    Arguments:
        oracle: tells what shapes a layer makes.
        weights: the weights that a layer has, in the model before the edit.
        fresh: the paths of layers that are new, or of which the config has changed.
        misfits: what a layer expects and what it gets, where that does not fit; by the layer's path.
        checked: the paths of the layers that were looked at.
        made: the weights of the fresh layers, by path.
        inner: the layers in fresh ones of which no config tells, by the path of the fresh one.
    """

    oracle: ShapeOracle
    weights: Weights
    fresh: frozenset[str]
    misfits: dict[str, str] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    made: dict[str, tuple[TensorSpec, ...]] = field(default_factory=dict)
    inner: dict[str, tuple[LayerSpec, ...]] = field(default_factory=dict)

    def settle(self, network: Network, owner: str = "", before: Network | None = None) -> Network:
        """The network with the types that follow; `misfits` and `made` are filled on the way.

        Arguments:
            network: the network after the edit.
            owner: its path.
            before: the network before it: layers that are called on tensors of other types than there are checked.
        """
        types = dict(network.types)
        layers = dict(network.layers)
        changed: set[TensorRef] = set()
        settled: set[str] = set()
        for name, call in order(network):
            path = join(owner, name)
            layer = layers[name]
            is_stale = path in self.fresh
            if isinstance(layer, Network) and name not in settled:
                settled.add(name)
                old = before.layers.get(name) if before is not None else None
                # An edit leaves the networks that it does not touch as they are, the same objects.
                if layer is not old:
                    layers[name] = layer = self.settle(layer, path, old if isinstance(old, Network) else None)
                    is_stale = True
                    self.fresh |= {path}
            arguments = tuple(refs(network.calls[name][call]))
            wanted = replace(network, types=types, layers=layers)
            is_stale = is_stale or any(ref in changed for ref in arguments)
            if not is_stale and not self._is_called_on_others(wanted, before, name, call, owner):
                continue
            try:
                inputs = tuple(self.type_of(wanted, ref, owner) for ref in arguments)
            except ModelError:
                continue  # a layer before it does not fit, which is noted there
            asked = layer if isinstance(layer, Network) else called(layer, network.calls[name][call], types)
            for output, found in enumerate(self._outputs(asked, path, inputs)):
                ref = TensorRef(name, call, output)
                is_new = before is not None and name not in before.layers
                if types.get(ref) != found and not is_new:  # who uses a new layer was called on something else before
                    changed.add(ref)
                types[ref] = found
        return replace(network, types=types, layers=layers)

    def _is_called_on_others(self, network: Network, before: Network | None, name: str, call: int, owner: str) -> bool:
        """Whether a layer was called on tensors of other types before: an edit may put others in their place."""
        if before is None or call >= len(before.calls.get(name, ())):
            return False
        now, then = (tuple(refs(each.calls[name][call])) for each in (network, before))
        if now == then:
            return False
        try:
            were = [self.type_of(before, ref, owner) for ref in then]
            return [self.type_of(network, ref, owner) for ref in now] != were
        except ModelError:
            return True

    def type_of(self, network: Network, ref: TensorRef, owner: str = "") -> TensorType:
        """What flows at a place of a network: what its config says, or else what follows from what does."""
        pending, found = [ref], dict(network.types)
        while ref not in found:
            at = pending[-1]
            layer = network.layers[at.layer]
            calls = network.calls[at.layer]
            if not calls:
                assert not isinstance(layer, Network)
                found[at] = input_type(layer)
            else:
                arguments = tuple(refs(calls[at.call]))
                if missing := [each for each in arguments if each not in found]:
                    pending += missing
                    continue
                path = join(owner, at.layer)
                asked = layer if isinstance(layer, Network) else called(layer, calls[at.call], found)
                for output, each in enumerate(self._made_of(asked, path, tuple(found[one] for one in arguments))):
                    found.setdefault(TensorRef(at.layer, at.call, output), each)
            pending.pop()
        return found[ref]

    def _outputs(self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """What a layer makes of its inputs; nothing, and a misfit, if it cannot take them."""
        self.checked.add(path)
        if isinstance(layer, Network):
            expected = tuple(self.type_of(layer, ref, path) for ref in refs(layer.inputs))
            for want, got in zip(expected, inputs, strict=False):
                if not _is_compatible(want, got):
                    self.misfits[path] = f"`{path}` expects {_text(want)}, and gets {_text(got)}"
                    return ()
            try:
                return tuple(self.type_of(layer, ref, path) for ref in refs(layer.outputs))
            except ModelError:
                return ()  # a layer in it does not fit, which is noted there
        try:
            shapes = self.oracle(layer, inputs)
        except ModelError as error:
            self.misfits[path] = error.problems[0].message
            return ()
        self._check(path, shapes, inputs)
        return shapes.outputs

    def _made_of(self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        if isinstance(layer, Network):
            return tuple(self.type_of(layer, ref, path) for ref in refs(layer.outputs))
        return self.oracle(layer, inputs).outputs

    def _check(self, path: str, shapes: LayerShapes, inputs: tuple[TensorType, ...]) -> None:
        """Hold a layer's weights against those that its inputs ask for; those of a fresh layer are noted."""
        owner = path.rpartition("/")[0]
        wanted = {join(owner, each.path): each for each in shapes.weights}
        known = self.made.get(path)
        if path in self.fresh and known is None:
            self.made[path], self.inner[path] = shapes.weights, shapes.inner
            return
        has = self.weights(path) if known is None else {join(owner, w.path): w for w in known}
        for weight, asked in wanted.items():
            if weight in has and has[weight].shape != asked.shape:
                got = " and ".join(_text(each) for each in inputs)
                self.misfits[path] = (
                    f"`{path}` has a {asked.role} of {_extents(has[weight].shape)}, but what it gets now, {got}, needs "
                    f"{_extents(asked.shape)}"
                )
                return


def order(network: Network) -> Iterator[tuple[str, int]]:
    """All calls of a network, each after those that it uses."""
    done: set[tuple[str, int]] = set()
    for name, calls in network.calls.items():
        for call in range(len(calls)):
            pending = [(name, call)]
            while pending:
                at = pending[-1]
                if at in done:
                    pending.pop()
                    continue
                needs = [
                    (ref.layer, ref.call)
                    for ref in refs(network.calls[at[0]][at[1]])
                    if ref.layer in network.calls and network.calls[ref.layer] and (ref.layer, ref.call) not in done
                ]
                if needs:
                    pending += needs
                    continue
                done.add(at)
                pending.pop()
                yield at


def _is_compatible(want: TensorType, got: TensorType) -> bool:
    return len(want.shape) == len(got.shape) and all(
        one is None or other is None or one == other for one, other in zip(want.shape, got.shape, strict=True)
    )


def _text(found: TensorType) -> str:
    return "(" + ", ".join("None" if each is None else str(each) for each in found.shape) + ")"


def _extents(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
