"""The propagation of shapes after an edit: from the edited layers to where shapes stop changing."""

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
"""Returns the weights of the layer at a path, by their paths below the layer's own model."""


@dataclass
class Flow:
    """One pass over a network after an edit.

    Arguments:
        oracle: finds the output shapes of a layer.
        weights: returns the weights of a layer in the model before the edit.
        changed: the paths of layers that are new, or have another config.
        misfits: for layers, by path, that cannot take their inputs: what they expect and what they get.
        checked: the paths of the layers whose shapes were computed.
        made: the weights of the changed layers, by path.
        inner: the layers inside changed layers that are not in a config, by the path of the changed layer.
    """

    oracle: ShapeOracle
    weights: Weights
    changed: frozenset[str]
    misfits: dict[str, str] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    made: dict[str, tuple[TensorSpec, ...]] = field(default_factory=dict)
    inner: dict[str, tuple[LayerSpec, ...]] = field(default_factory=dict)

    def settle(self, network: Network, owner: str = "", before: Network | None = None) -> Network:
        """Returns the network with the types after the edit, and fills `misfits` and `made`.

        Arguments:
            network: the network after the edit.
            owner: its path.
            before: the network before the edit. Layers that are now called on tensors of other types are checked.
        """
        # Calls are visited after those that they use. A call is computed again only if its layer was edited, or one of
        # its inputs changed its type, so an edit costs as much as the part of the model that it affects.
        types = dict(network.types)
        layers = dict(network.layers)
        changed: set[TensorRef] = set()
        settled: set[str] = set()
        for name, call in order(network):
            path = join(owner, name)
            layer = layers[name]
            is_stale = path in self.changed
            if isinstance(layer, Network) and name not in settled:
                settled.add(name)
                old = before.layers.get(name) if before is not None else None
                # An edit leaves the networks that it does not touch as they are, the same objects.
                if layer is not old:
                    layers[name] = layer = self.settle(layer, path, old if isinstance(old, Network) else None)
                    is_stale = True
                    self.changed |= {path}
            arguments = network.uses[name][call]
            current = replace(network, types=types, layers=layers)
            is_stale = is_stale or any(ref in changed for ref in arguments)
            if not is_stale and not self._has_other_inputs(current, before, name, call, arguments, owner):
                continue
            try:
                inputs = tuple(self.type_of(current, ref, owner) for ref in arguments)
            except ModelError:
                continue  # a layer before it does not fit, and has a misfit already
            with_call = layer if isinstance(layer, Network) else called(layer, network.calls[name][call], types)
            for output, found in enumerate(self._outputs(with_call, path, inputs)):
                ref = TensorRef(name, call, output)
                is_new = before is not None and name not in before.layers
                # Users of a new layer had another input before the edit, so `_has_other_inputs` compares the types.
                if types.get(ref) != found and not is_new:
                    changed.add(ref)
                types[ref] = found
        return replace(network, types=types, layers=layers)

    def _has_other_inputs(
        self, network: Network, before: Network | None, name: str, call: int, now: tuple[TensorRef, ...], owner: str
    ) -> bool:
        """Returns whether the edit gave a call other input tensors, of other types than before."""
        if before is None or call >= len(before.calls.get(name, ())):
            return False
        then = before.uses[name][call]
        if now == then:
            return False
        try:
            were = [self.type_of(before, ref, owner) for ref in then]
            return [self.type_of(network, ref, owner) for ref in now] != were
        except ModelError:
            return True

    def type_of(self, network: Network, ref: TensorRef, owner: str = "") -> TensorType:
        """Returns the type of a tensor in a network: the one that is known, or else computed from known ones."""
        # A loop with a stack instead of recursion, because a chain of layers is as long as the model is deep.
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
                with_call = layer if isinstance(layer, Network) else called(layer, calls[at.call], found)
                inputs = tuple(found[one] for one in arguments)
                for output, each in enumerate(self._output_types(with_call, path, inputs)):
                    found.setdefault(TensorRef(at.layer, at.call, output), each)
            pending.pop()
        return found[ref]

    def _outputs(self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """Returns the types of a layer's outputs. If it cannot take its inputs, returns nothing and adds a misfit."""
        self.checked.add(path)
        if isinstance(layer, Network):
            expected = tuple(self.type_of(layer, ref, path) for ref in refs(layer.inputs))
            for wanted, given in zip(expected, inputs, strict=False):
                if not _is_compatible(wanted, given):
                    self.misfits[path] = f"`{path}` expects {_text(wanted)}, but gets {_text(given)}"
                    return ()
            try:
                return tuple(self.type_of(layer, ref, path) for ref in refs(layer.outputs))
            except ModelError:
                return ()  # a layer in it does not fit, and has a misfit already
        try:
            shapes = self.oracle(layer, inputs)
        except ModelError as error:
            self.misfits[path] = error.problems[0].message
            return ()
        self._check(path, shapes, inputs)
        return shapes.outputs

    def _output_types(
        self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]
    ) -> tuple[TensorType, ...]:
        if isinstance(layer, Network):
            return tuple(self.type_of(layer, ref, path) for ref in refs(layer.outputs))
        return self.oracle(layer, inputs).outputs

    def _check(self, path: str, shapes: LayerShapes, inputs: tuple[TensorType, ...]) -> None:
        """Compares a layer's weights with those that its inputs need. The weights of a changed layer are recorded."""
        owner = path.rpartition("/")[0]
        needed = {join(owner, each.path): each for each in shapes.weights}
        made = self.made.get(path)
        if path in self.changed and made is None:
            self.made[path], self.inner[path] = shapes.weights, shapes.inner
            return
        existing = self.weights(path) if made is None else {join(owner, each.path): each for each in made}
        for weight, wanted in needed.items():
            if weight in existing and existing[weight].shape != wanted.shape:
                given = " and ".join(_text(each) for each in inputs)
                self.misfits[path] = (
                    f"`{path}` has a {wanted.role} of {_extents(existing[weight].shape)}, but its inputs, {given}, "
                    f"need {_extents(wanted.shape)}"
                )
                return


def order(network: Network) -> Iterator[tuple[str, int]]:
    """Returns all calls of a network, each after those that it uses."""
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
                    for ref in network.uses[at[0]][at[1]]
                    if ref.layer in network.calls and network.calls[ref.layer] and (ref.layer, ref.call) not in done
                ]
                if needs:
                    pending += needs
                    continue
                done.add(at)
                pending.pop()
                yield at


def _is_compatible(wanted: TensorType, given: TensorType) -> bool:
    return len(wanted.shape) == len(given.shape) and all(
        one is None or other is None or one == other for one, other in zip(wanted.shape, given.shape, strict=True)
    )


def _text(found: TensorType) -> str:
    return "(" + ", ".join("None" if each is None else str(each) for each in found.shape) + ")"


def _extents(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
