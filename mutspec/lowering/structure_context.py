"""A structural step's view of the model: it finds layers, edits the network that calls them, adds layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mutspec.errors import DocumentPath, ModelError, PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.keras_facts.layer_names import is_scope_of_tensorflow
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.types import Target
from mutspec.lowering.context import FIRST_VALUE, LoweringContext, TensorWrite
from mutspec.lowering.edit_check import edit_problem
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.identity_layers import identity_value
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.limits_of_made import problem_of_made
from mutspec.lowering.new_layer import (
    AddedLayer,
    FirstValue,
    entry_of_new,
    name_of_new,
    refuse_merge,
    refuse_no_identity,
    value_by_initializer,
)
from mutspec.model.outline import around, is_within, join
from mutspec.model.spec import LayerSpec, ModelSpec, TensorRef, TensorSpec
from mutspec.structure import edits
from mutspec.structure.architecture import Change, NewLayer
from mutspec.structure.flow import AboveLimitError, extents
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.model_form import as_functional, with_input_layer
from mutspec.structure.network import SEQUENTIAL_INPUT, Entry, Network, refs, unique_name

Edit = Callable[[Network], Network]
"""A pure function from a network to another, such as those of `mutspec.structure.edits`."""


def _owners(paths: Iterable[str]) -> Iterator[str]:
    """Yields the paths of all models that layers are in."""
    for path in paths:
        while path := path.rpartition("/")[0]:
            yield path


_NOT_COMPILED = "on TensorFlow does not"
"""Words of a note that a step needs once."""


def _place_of(layer: str, added: Mapping[str, AddedLayer], key: str) -> DocumentPath:
    """Returns where a step has what is wrong with a layer that it makes or changes."""
    around = next((each.at for path, each in added.items() if is_within(layer, path)), ())
    return around or (key or "op",)


@dataclass(frozen=True, slots=True)
class StructureContext:
    """A structural step's view of the model, and the ways in which it changes it.

    The model is a tree of networks: the outermost, and the models that are layers in others. Its layers have paths, and
    a network is called by the path of its layer, the outermost by "". An edit changes one network; the shapes that
    follow, the spec for later steps, reports and the rebuild in Keras come by themselves.

    Arguments:
        context: where the step is lowered.
        id: the step's id, after which new layers are called.
        writes: the changes that the step makes to weights.
    """

    context: LoweringContext
    id: str
    writes: list[TensorWrite] = field(default_factory=list)

    # Finding layers.

    def select(self, target: Target, key: str) -> tuple[LayerSpec, ...]:
        """Returns the layers that a target stands for; none if the step allows it.

        Arguments:
            target: the target.
            key: the key of the step that it is the value of.

        Raises:
            PlanError: the model cannot be edited, or the target matches nothing.
        """
        _ = self.context.architecture  # of a model that cannot be edited, this is said, and not that a name is wrong
        return self.context.select_layers(target, key)

    def find(self, target: Target, key: str) -> Iterator[FoundLayer]:
        """Yields the layers that a target stands for, each as the edits of those before it have left the model.

        Arguments and errors are those of `select` and `locate`.
        """
        for layer in self.select(target, key):
            yield self.locate(layer, key)

    def has(self, layer: LayerSpec) -> bool:
        """Returns whether a layer is still there: an edit may have taken it out with another."""
        return layer.path in self.context.models[""].layer_by_path

    def locate(self, layer: LayerSpec, key: str) -> FoundLayer:
        """Returns a layer as it stands now.

        Arguments:
            layer: the layer.
            key: the key of the step that names it.

        Raises:
            PlanError: it is inside a layer that calls it by code, where no edit reaches it.
        """
        owner, _, name = layer.path.rpartition("/")
        network = edits.level(self.context.architecture.network, owner)
        if network is None or name not in network.layers:
            holder = self.context.models[""].layer_by_path.get(owner)
            kind = f" ({holder.class_name})" if holder is not None else ""
            raise PlanError(
                f"`{layer.path}` is inside `{owner}`{kind}, which calls it itself",
                path=(key,),
                hint=f"name `{owner}`, or leave the layers in it out with `not:`",
            )
        return FoundLayer(layer.path, owner, name, network, key)

    def network(self, owner: str) -> Network:
        """Returns the network of a path, as it stands now."""
        found = edits.level(self.context.architecture.network, owner)
        if found is None:
            raise self.context.bug(f"asks for `{owner}`, which is not a model in the model")
        return found

    def type_of(self, owner: str, ref: TensorRef) -> TensorType:
        """Returns the shape and dtype of a tensor between layers.

        Raises:
            PlanError: a layer before it cannot take what it gets.
        """
        return self.type_in(self.network(owner), ref, owner)

    def type_in(self, network: Network, ref: TensorRef, owner: str) -> TensorType:
        """Returns the shape and dtype of a tensor in a network that an edit of the one at a path may make.

        Raises:
            PlanError: a layer before it cannot take what it gets.
        """
        try:
            return self.context.flow().type_of(network, ref, owner)
        except ModelError as error:
            raise PlanError(
                Problem(problem.message, path=("op",), hint=problem.hint or "fix that first, in a step before this one")
                for problem in error.problems
            ) from None

    def functional(self, owner: str) -> Network:
        """Returns the network of a path as a Functional model, so that it can branch. A Sequential one becomes one.

        Raises:
            PlanError: it is Sequential, and nothing says what it is called on.
        """
        network = self.network(owner)
        if not network.is_sequential:
            return network
        (start,) = refs(network.inputs)
        shown = f"`{owner or network.name}`"
        if start.layer not in network.layers and start not in network.types:
            raise PlanError(
                f"{shown} is Sequential, and its file does not say what shape it takes, so that it cannot branch",
                path=("op",),
                hint="build the model and save it again",
            )
        self.give_input_layer(owner)
        self.edit(owner, as_functional)
        self.context.notes.append(f"{shown} becomes a Functional model, because a Sequential one has no branches")
        return self.network(owner)

    def give_input_layer(self, owner: str) -> None:
        """Gives the network of a path an InputLayer, if it is a Sequential model that was built for a shape instead."""
        network = self.network(owner)
        (start, *_) = refs(network.inputs)
        if start != SEQUENTIAL_INPUT:
            return
        name = unique_name("input_layer", network.layers)
        with_input = with_input_layer(network, name, self.type_of(owner, start))
        self.edit(owner, lambda _: with_input, added={name: AddedLayer(with_input.layers[name])})

    # Editing a network.

    def edit(
        self,
        owner: str,
        edit: Edit,
        *,
        key: str = "",
        added: Mapping[str, AddedLayer] | None = None,
        configured: Iterable[str] = (),
        renamed: Mapping[str, str] | None = None,
        marks: Mapping[str, EditKind] | None = None,
    ) -> None:
        """Edits one network. What the edit does to layers must be declared, because reports and weights follow from it.

        Arguments:
            owner: the path of the network.
            edit: gives the new network for the old one.
            key: the key of the step at which the edit's errors are, unless they say so themselves.
            added: the layers that it adds, by name.
            configured: the paths of the layers whose config it changes. If shapes or weights depend on what changes,
                the layer is in `added` too.
            renamed: the new path of each layer that it renames or moves, with the old one. What is not there yet on the
                way to a new path becomes a model around it.
            marks: other effects that are to be reported, by the layer's path: that it is called on other tensors, that
                it is an output of the model now, or is not any more.

        Raises:
            PlanError: the edit raises it; or an added layer cannot take what it gets.
            OpError: the edit changes a layer that it does not declare, or makes a network that Keras cannot build.
        """
        added, changed, renamed = added or {}, frozenset(configured), renamed or {}
        paths = {join(owner, name): each for name, each in added.items()}
        try:
            network = self._edited(owner, edit, {*paths, *changed, *_owners(changed), *renamed, *_owners(renamed)})
        except PlanError as error:
            raise PlanError(each if each.path or not key else each.below(key) for each in error.problems) from None
        first = self.layers_added
        new = {
            path: NewLayer(f"{self.id}/{path if path in changed else first + number}", each.keep_weights_of)
            for number, (path, each) in enumerate(paths.items())
        }
        before = self.context.models[""]
        try:
            created = self.context.restructure(Change(network, new, changed, renamed, marks or {}))
        except ModelError as error:  # what the edit makes is above a limit
            at = _place_of(error.layer if isinstance(error, AboveLimitError) else "", paths, key)
            raise PlanError(replace(problem, path=at) for problem in error.problems) from None
        if found := problem_of_made(before, self.context.models[""], created):
            layer, problem = found
            raise PlanError(replace(problem, path=_place_of(layer, paths, key)))
        self._note_names(before)
        misfits = self.context.architecture.misfits
        for path, each in paths.items():
            if wrong := next((misfits[inner] for inner in misfits if is_within(inner, path)), None):
                at = each.at or (key or "layer",)
                raise PlanError(wrong[1], path=at, hint="choose a layer that fits what it gets")
        for tensor in created:
            path = around(tensor.layer, paths)
            self._begin(tensor, path, paths[path])

    def _note_names(self, before: ModelSpec) -> None:
        """Tells the user if TensorFlow does not take the name of a layer that the model did not have before."""
        layers = (each for each in self.context.models[""].layers if each.path not in before.layer_by_path)
        odd = (
            each.name for each in layers if each.class_name != "InputLayer" and not is_scope_of_tensorflow(each.name)
        )
        if (name := next(odd, None)) is not None and not any(_NOT_COMPILED in note for note in self.context.notes):
            self.context.notes.append(
                f"Keras {_NOT_COMPILED} `predict` or `fit` with a layer called `{name}`: it takes letters, digits, "
                "`_`, `.` and `-`; other backends, and calls of the model, take it"
            )

    def _begin(self, tensor: TensorSpec, path: str, added: AddedLayer) -> None:
        """Gives a new weight its first value."""
        context = self.context
        below = tensor.path.removeprefix(f"{path}/")
        new = NewWeight(context.builder, tensor, context.key(tensor.origin, FIRST_VALUE), below)
        value = added.first_value(new) if added.first_value is not None else None
        if value is None:
            value = value_by_initializer(context, new)
        if value is None:
            context.keras_made.add(tensor.origin)
        else:
            context.create(tensor, value)

    def _edited(self, owner: str, edit: Edit, declared: Collection[str]) -> Network:
        """Returns the outermost network with an edit of one network.

        Raises:
            OpError: the edit does something else than what is declared, or makes a network that Keras cannot build.
        """
        before = edits.level(self.context.architecture.network, owner)
        if before is None:
            raise self.context.bug(f"edits `{owner}`, which is not a model in the model")
        after = edit(before)
        if problem := edit_problem(before, after, owner, declared):
            raise self.context.bug(problem)
        return edits.edited(self.context.architecture.network, owner, lambda _: after)

    # Adding a layer.

    def new_layer(
        self,
        layer: Mapping[str, Any],
        owner: str,
        on: TensorRef,
        *,
        name: str = "",
        inputs: int = 1,
        replaces: str = "",
        defaults: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Returns the serialised layer that a step's `layer` stands for. The model does not have it yet.

        Arguments:
            layer: as the plan has it: `type` and arguments, or Keras's `class_name` and `config`.
            owner: the path of the network that it will be in.
            on: the tensor whose width `same` stands for, and whose layer gives the dtype and the data format.
            name: its name, unless `layer` has one. Default: the step's id, with a number from the second layer on.
            inputs: the number of tensors that it will be called on.
            replaces: the name of the layer whose place it takes, and whose name it may have.
            defaults: the values of arguments that `layer` does not state, where its class has them.

        Raises:
            PlanError: it is not a layer that mutspec may build, its name is taken, or it needs several inputs.
        """
        network, number = self.network(owner), self.layers_added
        neighbour = network.layers.get(on.layer)
        name = name or name_of_new(self.id, number)
        entry = entry_of_new(layer, name, neighbour, self.type_of(owner, on), defaults)
        if entry["name"] != replaces:
            hint = "for several, leave `name` out" if number else "give the layer another `name`"
            self.refuse_name(owner, str(entry["name"]), ("layer", "name"), hint)
        refuse_merge(entry, inputs)
        return entry

    def refuse_name(self, owner: str, name: str, path: DocumentPath, hint: str) -> None:
        """Refuses the name of a layer that a network has.

        Arguments:
            owner: the path of the network.
            name: the name.
            path: where the step says it.
            hint: what would be right.

        Raises:
            PlanError: the name is taken.
        """
        if name in self.network(owner).layers:
            raise PlanError(f"the model has a layer `{name}` already", path=path, hint=hint)

    def insert(
        self,
        entry: Entry,
        owner: str,
        sources: Sequence[TensorRef],
        *,
        only: Collection[str] = (),
        first_value: FirstValue | None = None,
    ) -> None:
        """Puts a new layer on tensors: what used them uses its outputs instead.

        Arguments:
            entry: the layer, from `new_layer`.
            owner: the path of the network.
            sources: the tensors; the layer is called once on each.
            only: the layers that are to use it. Default: all, and the model's outputs.
            first_value: gives the values that its weights begin with. Default: its initializers do.

        Raises:
            PlanError: the layer cannot take what it gets.
        """
        name = str(entry["name"])
        if name in self.network(owner).layers:
            raise self.context.bug(f"inserts a layer under the name `{name}`, which another layer has")
        outputs = {ref: TensorRef(name, call) for call, ref in enumerate(sources)}
        edit = partial(edits.insert, name=name, entry=entry, sources=outputs, only=only)
        self.add_layer(entry, owner, edit, first_value=first_value)

    def replace(
        self, found: FoundLayer, entry: Entry, *, keep_weights: bool = False, first_value: FirstValue | None = None
    ) -> None:
        """Puts a new layer in the place of another.

        Arguments:
            found: the layer that it replaces.
            entry: the new layer, from `new_layer`.
            keep_weights: whether weights of the same place in the layer, shape and dtype are carried over. They stay
                the same weights: steps on them draw what they would have drawn.
            first_value: gives the values that its other weights begin with. Default: its initializers do.

        Raises:
            PlanError: the layer cannot take what it gets.
        """
        edit = partial(edits.put, name=found.name, entry=entry, new_name=str(entry["name"]))
        like = found.path if keep_weights else ""
        self.add_layer(entry, found.owner, edit, keep_weights_of=like, first_value=first_value)

    def add_layer(
        self,
        entry: Entry,
        owner: str,
        edit: Edit,
        *,
        keep_weights_of: str = "",
        first_value: FirstValue | None = None,
    ) -> None:
        """Edits a network by any edit that adds one layer, and gives the layer's weights their first values.

        Arguments:
            entry: the layer, from `new_layer`.
            owner: the path of the network.
            edit: gives the network with the layer for the one without.
            keep_weights_of: the path of a layer that the edit takes out, whose weights are carried over where they fit.
            first_value: gives the values that its other weights begin with; None of it stands for its initializer's.

        Raises:
            PlanError: the layer cannot take what it gets.
        """
        layer = AddedLayer(entry, keep_weights_of, first_value)
        self.edit(owner, edit, added={str(entry["name"]): layer})

    @property
    def layers_added(self) -> int:
        """The number of layers that the step has added so far."""
        return self.context.layers_added

    # First values of a new layer's weights.

    def identity(self, entry: Entry, owner: str, on: TensorRef) -> FirstValue:
        """Returns the first values with which a new layer passes its input on.

        Arguments:
            entry: the layer, from `new_layer`.
            owner: the path of the network.
            on: the tensor that it will be put on.

        Raises:
            PlanError: no weights make it an identity.
        """
        refuse_no_identity(entry, self.type_of(owner, on), self.network(owner).layers.get(on.layer))
        return partial(identity_value, class_name=str(entry["class_name"]), config=entry["config"])

    def copies(self, layer: str, model: str = "", *, key: str = "") -> FirstValue:
        """Returns first values that are those of a layer's weights, where place in the layer, shape and dtype agree.

        The new weights are weights of their own. To carry weights over, see `replace`.

        Arguments:
            layer: the layer's path.
            model: the name of the input whose layer it is; empty for the model that is mutated.
            key: the key of the step that names the layer, if a weight of another shape is an error. Default: such a
                weight begins as its initializer says.
        """
        weights = self.context.models[model].weights_of(layer)

        def value(new: NewWeight) -> Expression | None:
            old, shape = weights.get(new.below), new.tensor.shape
            if old is not None and old.shape != shape and key:
                its = f"its {new.below} is {extents(old.shape)}, and the copy needs {extents(shape)}"
                raise PlanError(
                    f"a copy of `{layer}` cannot have its weights: {its}",
                    path=(key,),
                    hint="choose another place, or layers whose output has the shape of their input",
                )
            fits = old is not None and (old.shape, old.dtype) == (shape, new.tensor.dtype)
            return self.context.read(old, model) if old is not None and fits else None

        return value

    def note_first(self, notes: Sequence[str], most: int = 3) -> None:
        """Tells the user the first of some notes that are alike, and how many more there are."""
        more = len(notes) - most
        self.context.notes += [*notes[:most], *([f"{more:,} more layers are alike"] if more > 0 else [])]

    # Weights that stay.

    def weight(self, path: str, role: str) -> TensorSpec | None:
        """Returns a weight of the layer at a path, by its role; None if the layer does not have it."""
        return self.context.models[""].tensor_by_path.get(f"{path}/{role}")

    def write(self, weight: TensorSpec, value: Expression) -> None:
        """Gives a weight that the model has another value. The value is rounded once to its dtype."""
        self.writes.append(self.context.bind(weight, value.cast(weight.dtype), None))

    def note_training_only(self) -> None:
        """Tells the user if layers that the step adds act in training only: as faults they change no prediction."""
        idle = [edit for edit in self.context.edits if edit.kind is EditKind.ADDED and edit.acts_in_training_only]
        if not idle:
            return
        more = f" and {len(idle) - 1:,} more act" if len(idle) > 1 else " acts"
        is_all = all(edit.acts_in_training_only for edit in self.context.edits)
        so = "predictions do not change" if is_all else "in predictions the input is passed on as it is"
        self.context.notes.append(f"`{idle[0].layer}` ({idle[0].type}){more} in training only: {so}")
