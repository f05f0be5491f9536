"""The propagation of shapes after an edit: from the edited layers to where shapes stop changing."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import cast

from mutspec.errors import ModelError, Problem
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.limits import current_limits
from mutspec.model.outline import around, join
from mutspec.model.shapes import LayerShapes, ShapeOracle
from mutspec.model.spec import LayerSpec, TensorRef, TensorSpec
from mutspec.structure.network import Entry, Layers, Network, called_otherwise, refs
from mutspec.structure.network_config import called, input_type

Weights = Callable[[str], Mapping[str, TensorSpec]]
"""Returns the weights of the layer at a path, by their paths below the layer's own model."""

Types = dict[TensorRef, TensorType]


class MissingOutputError(ModelError):
    """Raised where a layer does not make an output that is used.

    Arguments:
        ref: the output.
        count: how many outputs the layer makes.
    """

    def __init__(self, ref: TensorRef, count: int) -> None:
        has = "output 0" if count == 1 else f"outputs 0 to {count - 1}"
        self.ref, self.what = ref, f"output {ref.output} of `{ref.layer}`, which has only {has}"
        super().__init__(f"the model uses {self.what}")


class AboveLimitError(ModelError):
    """Raised where a layer has, takes or makes a tensor that is above a limit.

    Arguments:
        problem: the problem.
        layer: the path of the layer.
    """

    def __init__(self, problem: Problem, layer: str) -> None:
        self.layer = layer
        super().__init__(problem)


def _refuse_extents(path: str, shapes: Iterable[tuple[int | None, ...]], what: str) -> None:
    """Refuses tensors of a layer that are too long along an axis."""
    most = current_limits()
    for shape in shapes:
        largest = max((extent or 0 for extent in shape), default=0)
        if largest > most.extent:
            raise AboveLimitError(most.of_made("extent", largest, f"{what} of `{path}`"), path)


@dataclass
class Flow:
    """One pass over a network after an edit.

    Arguments:
        oracle: finds the output shapes of a layer.
        weights: returns the weights of a layer in the model before the edit.
        changed: the paths of layers that are new, or have another config. A network stands for all layers in it.
        renamed: the old path of each renamed layer, by its new path.
        misfits: for layers, by path, that cannot take their inputs: what they expect and what they get.
        checked: the paths of the layers whose shapes were computed.
        made: the weights of the changed layers, by path.
        inner: the layers inside changed layers that are not in a config, by the path of the changed layer.
    """

    oracle: ShapeOracle
    weights: Weights
    changed: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    made: dict[str, tuple[TensorSpec, ...]] = field(default_factory=dict)
    inner: dict[str, tuple[LayerSpec, ...]] = field(default_factory=dict)

    def settle(self, network: Network, owner: str = "", before: Network | None = None) -> Network:
        """Returns the network with the types after the edit, and fills `misfits` and `made`.

        Arguments:
            network: the network after the edit.
            owner: its path.
            before: the network before the edit; None for one that is new. Layers that are now called on tensors of
                other types are checked.
        """
        # A call is computed again only if its layer was edited, or one of its inputs changed its type, so an edit costs
        # as much as the part of the model that it affects. Layers are visited in model order, in which a layer nearly
        # always follows those that it uses. Where it does not, it is visited a second time.
        types: Types = network.known_types
        layers = self._with_settled_models(network, owner, before)
        stale = {name for name in layers if before is None or join(owner, name) in self.changed}
        stale |= {name for name, layer in layers.items() if layer is not network.layers[name]}
        recalled = () if before is None else called_otherwise(network, before)
        position = {name: number for number, name in enumerate(layers)}
        pending = [(position[name], name) for name in {*stale, *recalled}]
        heapify(pending)
        current = network.with_layers(layers, types)
        while pending:
            _, name = heappop(pending)
            if name not in stale and not self._has_other_inputs(current, before, name, owner):
                continue
            stale.discard(name)
            for changed in self._outputs_of(current, types, name, owner):
                # Users of a new layer had another input before the edit, so their types are compared.
                if before is None or name in before.layers:
                    for user in network.consumers(name):
                        if user not in stale and any(changed in call for call in network.uses[user]):
                            stale.add(user)
                            heappush(pending, (position[user], user))
        self._check_outputs(current, owner)
        return network.with_layers(layers, types)

    def _check_outputs(self, network: Network, owner: str) -> None:
        """Checks that the layers make the model's outputs. The first output of a layer is always there."""
        self.checked.add(owner)
        for ref in (ref for ref in refs([network.outputs]) if ref.output):
            try:
                self.type_of(network, ref, owner)
            except MissingOutputError as error:
                if error.ref == ref:
                    self.misfits[owner] = f"`{owner or network.name}` ends with {error.what}"
            except ModelError:
                continue  # a layer before it does not fit, and has a misfit already

    def _with_settled_models(self, network: Network, owner: str, before: Network | None) -> Layers:
        """Returns the layers, with settled types in the models that the edit touches, or adds."""
        layers = dict(network.layers)
        for name, layer in network.layers.items():
            old = before.layers.get(name) if before is not None else None
            # An edit leaves the networks that it does not touch as they are, the same objects.
            if isinstance(layer, Network) and layer is not old:
                layers[name] = self.settle(layer, join(owner, name), old if isinstance(old, Network) else None)
        return layers

    def _outputs_of(self, network: Network, types: Types, name: str, owner: str) -> list[TensorRef]:
        """Computes the outputs of all calls of a layer, keeps their types, and returns those that differ."""
        path, differing = join(owner, name), []
        self.misfits.pop(path, None)
        layer = network.layers[name]
        if not network.calls[name] and not isinstance(layer, Network):
            found, ref = input_type(layer), TensorRef(name)
            _refuse_extents(path, [found.shape], "an axis")
            is_other = types.get(ref) != found
            types[ref] = found
            return [ref] if is_other else []
        for number, call in enumerate(network.calls[name]):
            used = network.uses[name][number]
            try:
                inputs = tuple(self.type_of(network, ref, owner) for ref in used)
            except MissingOutputError as error:
                if error.ref in used:
                    self.checked.add(path)
                    self.misfits[path] = f"`{path}` is called on {error.what}"
                continue
            except ModelError:
                continue  # a layer before it does not fit, and has a misfit already
            layer = network.layers[name]
            with_call = layer if isinstance(layer, Network) else called(layer, call, types)
            outputs = self._outputs(with_call, path, inputs)
            if outputs:
                gone = [ref for ref in _used_outputs(network, name, number) if ref.output >= len(outputs)]
                differing += [ref for ref in gone if types.pop(ref, None) is not None]
            for output, found in enumerate(outputs):
                ref = TensorRef(name, number, output)
                if types.get(ref, network.found_types.get(ref)) != found:
                    differing.append(ref)
                types[ref] = found
        return differing

    def _has_other_inputs(self, network: Network, before: Network | None, name: str, owner: str) -> bool:
        """Returns whether the edit gave a layer other input tensors, of other types than before."""
        path = join(owner, name)
        old_owner, _, old = self.renamed.get(path, path).rpartition("/")
        if before is None:
            return False
        if old_owner != owner or len(before.calls.get(old, ())) != len(network.calls[name]):
            return True
        for now, then in zip(network.uses[name], before.uses[old], strict=True):
            if now == then:
                continue
            try:
                were = [self.type_of(before, ref, owner) for ref in then]
                if [self.type_of(network, ref, owner) for ref in now] != were:
                    return True
            except ModelError:
                return True
        return False

    def type_of(self, network: Network, ref: TensorRef, owner: str = "") -> TensorType:
        """Returns the type of a tensor in a network: the one that is known, or else computed from known ones."""
        # A loop with a stack instead of recursion, because a chain of layers is as long as the model is deep.
        known, found = cast(Types, network.types), network.found_types  # the first is only read
        pending = [ref]
        while ref not in known and ref not in found:
            at = pending[-1]
            layer = network.layers[at.layer]
            calls = network.calls[at.layer]
            if not calls:
                assert not isinstance(layer, Network)
                found[at] = input_type(layer)
            else:
                arguments = network.uses[at.layer][at.call]
                if missing := [each for each in arguments if each not in known and each not in found]:
                    pending += missing
                    continue
                path = join(owner, at.layer)
                every = ChainMap(found, known)
                with_call = layer if isinstance(layer, Network) else called(layer, calls[at.call], every)
                inputs = tuple(every[one] for one in arguments)
                outputs = self._output_types(with_call, path, inputs)
                for output, each in enumerate(outputs):
                    found.setdefault(TensorRef(at.layer, at.call, output), each)
                if at.output >= len(outputs):
                    raise MissingOutputError(at, len(outputs))
            pending.pop()
        return known[ref] if ref in known else found[ref]

    def _outputs(self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """Returns the types of a layer's outputs. If it cannot take its inputs, returns nothing and adds a misfit."""
        self.checked.add(path)
        if isinstance(layer, Network):
            expected = tuple(self.type_of(layer, ref, path) for ref in refs(layer.inputs))
            for wanted, given in zip(expected, inputs, strict=False):
                if not is_compatible(wanted, given):
                    self.misfits[path] = f"`{path}` expects {shown_type(wanted)}, but gets {shown_type(given)}"
                    return ()
            try:
                return self._model_outputs(layer, path, inputs)
            except ModelError:
                return ()  # a layer in it does not fit, and has a misfit already
        try:
            shapes = self.oracle(layer, inputs)
        except ModelError as error:
            self.misfits[path] = error.problems[0].message
            return ()
        _refuse_extents(path, (each.shape for each in shapes.weights), "an axis of a weight")
        _refuse_extents(path, (each.shape for each in shapes.outputs), "an axis of the output")
        self._check(path, shapes, inputs)
        return shapes.outputs

    def _output_types(
        self, layer: Entry | Network, path: str, inputs: tuple[TensorType, ...]
    ) -> tuple[TensorType, ...]:
        if isinstance(layer, Network):
            return self._model_outputs(layer, path, inputs)
        return self.oracle(layer, inputs).outputs

    def _model_outputs(self, model: Network, path: str, inputs: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """Returns the types of the outputs of a model in the model, for a call.

        Like Keras (`Function.compute_output_spec`): those of the model itself, unless it is called on other shapes.
        """
        called_on = self.called_on(model, path, inputs)
        if called_on is not model:
            try:
                return tuple(self.type_of(called_on, ref, path) for ref in refs(model.outputs))
            except ModelError:
                pass  # no rule has the shapes of a layer in it; the model states those for its own inputs
        return tuple(self.type_of(model, ref, path) for ref in refs(model.outputs))

    def called_on(self, model: Network, path: str, inputs: tuple[TensorType, ...]) -> Network:
        """Returns a model with the types of one of its calls; the model itself, if they are those that it states."""
        given: Types = {}
        for port, found in zip(refs(model.inputs), inputs, strict=False):
            own = self.type_of(model, port, path)
            if found.shape != own.shape:  # a Sequential model converts its input
                given[port] = replace(own, shape=found.shape) if model.is_sequential else found
        return model.with_layers(model.layers, given) if given else model

    def _check(self, path: str, shapes: LayerShapes, inputs: tuple[TensorType, ...]) -> None:
        """Compares a layer's weights with those that its inputs need. The weights of a changed layer are recorded."""
        owner = path.rpartition("/")[0]
        needed = {join(owner, each.path): each for each in shapes.weights}
        made = self.made.get(path)
        if made is None and self._is_changed(path):
            self.made[path], self.inner[path] = shapes.weights, shapes.inner
            return
        existing = self.weights(path) if made is None else {join(owner, each.path): each for each in made}
        for weight, wanted in needed.items():
            if weight in existing and existing[weight].shape != wanted.shape:
                given = " and ".join(shown_type(each) for each in inputs)
                self.misfits[path] = (
                    f"`{path}` has a {wanted.role} of {extents(existing[weight].shape)}, but its inputs, {given}, "
                    f"need {extents(wanted.shape)}"
                )
                return

    def _is_changed(self, path: str) -> bool:
        """Returns whether a layer, or a model that it is in, is new or has another config."""
        return bool(around(path, self.changed))


def _used_outputs(network: Network, name: str, call: int) -> Iterator[TensorRef]:
    """Yields the outputs of one call of a layer that other layers use, or that are outputs of the model."""
    used = (ref for user in network.consumers(name) for each in network.uses[user] for ref in each)
    return (ref for ref in chain(used, refs([network.outputs])) if (ref.layer, ref.call) == (name, call))


def is_compatible(wanted: TensorType, given: TensorType) -> bool:
    """Returns whether a tensor of one type can stand where another is expected: an unknown extent fits any."""
    return len(wanted.shape) == len(given.shape) and all(
        one is None or other is None or one == other for one, other in zip(wanted.shape, given.shape, strict=True)
    )


def shown_type(found: TensorType) -> str:
    """Returns the shape of a type for messages: `(None, 8)`."""
    return "(" + ", ".join("None" if each is None else str(each) for each in found.shape) + ")"


def extents(shape: tuple[int, ...]) -> str:
    """Returns the shape of a weight for messages: `3×3×16`."""
    return "×".join(map(str, shape)) or "one number"
