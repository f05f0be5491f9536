"""The state of the fold over a plan's steps, and what a step reads and writes while it is lowered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from mutspec.errors import DocumentPath, ModelError, OpError, PlanError, Problem
from mutspec.graph.choice import Choice, Computed, chosen_count, size_of
from mutspec.graph.computed_dtypes import INTEGERS, NARROW_FLOATS, is_computed_with
from mutspec.graph.expression import Expression, constant
from mutspec.graph.graph import GraphBuilder, Shape, Version
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import stream_key
from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.language.types import BASE, Target
from mutspec.lowering.copies import CopiedFrom, SkippedWeight
from mutspec.lowering.op_values import choice_problem, expression_problem, result_problem, value_problem
from mutspec.lowering.value_reader import MOST_VALUES, ActivationReader, ValueReader
from mutspec.model.layer_output import LayerOutput
from mutspec.model.select import NothingMatched, Selection, SelectorIndex
from mutspec.model.shapes import ShapeOracle
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

if TYPE_CHECKING:
    # Loaded by the methods that change an architecture: a plan of weight steps needs none of it.
    from mutspec.structure.architecture import Architecture, Change
    from mutspec.structure.compile_state import OutputChange
    from mutspec.structure.coupling.coupled_group import CoupledGroup
    from mutspec.structure.coupling.coupling import Coupling
    from mutspec.structure.flow import Flow
    from mutspec.structure.layer_edit import LayerEdit
    from mutspec.structure.network import Network

ALL_GROUPS = frozenset(Group)

FIRST_VALUE = "init"
"""The name of the draw of a new weight's first value. Its key is made for weights too whose value needs no draw."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """The step under way.

    Arguments:
        number: its index in the plan.
        op: the name of its op.
        stream: the name of its random stream.
        seed: its seed.
        allow_empty: whether it may touch nothing.
    """

    number: int
    op: str
    stream: str
    seed: int
    allow_empty: bool


@dataclass(frozen=True, slots=True)
class TensorWrite:
    """The changes that a step makes to one tensor.

    Arguments:
        tensor: the tensor.
        touched: the number of entries that it changes; None if only drawing tells.
        version: the version that the step makes.
        is_first: whether it takes the place of a first value that only Keras knows; all of it counts as changed.
        copied: where its values come from, if the step copies them from another weight.
    """

    tensor: TensorSpec
    touched: int | None
    version: Version
    is_first: bool = False
    copied: CopiedFrom | None = None


@dataclass
class LoweringContext:
    """A step's view of the models, and the ways in which it changes one.

    Arguments:
        models: the spec of the model that is mutated, under "", as it was before the plan under `BASE`, and of each
            input, under its name.
        config: the serialised model, which structural steps edit.
        input_configs: the serialised inputs, by name, whose layers structural steps may take over.
        oracle: tells what shapes layers make; by default a table, which knows the common classes.
        value_reader: computes values of the graph so far; None if the models' weights cannot be read.
        activation_reader: measures activations of the model before the plan; None if the call gives no data.
        builder: the graph so far.
        step: the step under way.
        notes: what the user should know about it.
        skipped: the weights that it leaves as they are because nothing fits them.
        edits: what it does to layers.
        coupled: the groups of layers of which it changes the widths together.
        layers_added: the number of layers that it has added so far, those that are as they were included.
        created: the weights that it adds.
        asked: the nodes whose values it has asked for.
        keras_made: the origins of weights whose first value only Keras can make.
        output_change: what the steps so far did to the outputs; None if they did nothing to the architecture.
        coupling: the channels of a network that a step has looked at.
        layer_weights: the weights of the layers of a model that a step has looked at.
        has_base: whether `BASE` is the model before the plan, and not an input that the plan calls so.
        draws: the draws of the step: the name of each, and its key.
    """

    models: dict[str, ModelSpec]
    config: Mapping[str, Any] = field(default_factory=dict)
    input_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    oracle: ShapeOracle | None = None
    value_reader: ValueReader | None = None
    activation_reader: ActivationReader | None = None
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    step: StepContext = StepContext(-1, "", "", 0, False)
    notes: list[str] = field(default_factory=list)
    skipped: list[SkippedWeight] = field(default_factory=list)
    edits: list[LayerEdit] = field(default_factory=list)
    coupled: list[CoupledGroup] = field(default_factory=list)
    layers_added: int = 0
    created: list[TensorSpec] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    keras_made: set[str] = field(default_factory=set)
    output_change: OutputChange | None = None
    has_base: bool = False
    draws: list[tuple[str, bytes]] = field(default_factory=list)
    coupling: tuple[Network, Coupling] | None = None
    layer_weights: tuple[ModelSpec, Mapping[str, Mapping[str, TensorSpec]]] | None = None
    _unknown: dict[int, TensorSpec] = field(default_factory=dict)
    _architecture: Architecture | None = None
    _unedited: Architecture | None = None
    _input_networks: dict[str, Network] = field(default_factory=dict)
    _indexes: dict[str, SelectorIndex] = field(default_factory=dict)
    _cases: dict[DocumentPath, frozenset[str]] = field(default_factory=dict)

    def begin(self, step: StepContext) -> None:
        """Turns to the next step."""
        self.step = step
        self.draws.clear()
        self.notes.clear()
        self.skipped.clear()
        self.edits.clear()
        self.coupled.clear()
        self.layers_added = 0
        self.created.clear()
        self.asked.clear()
        self._cases.clear()

    def index(self, model: str = "") -> SelectorIndex:
        """Returns the selector index of a model."""
        if model not in self._indexes:
            self._indexes[model] = SelectorIndex(self.models[model])
        return self._indexes[model]

    def select(self, target: Target, *at: str | int, model: str = "", groups: frozenset[Group] = LEARNED) -> Selection:
        """Returns what a target chooses. If that is nothing and the step allows it, an empty selection.

        Arguments:
            target: the target.
            at: where it stands in the step, for errors.
            model: the model to look in.
            groups: the weights that it chooses if it does not say.
        """
        try:
            selection = self.index(model).tensors(target, default_groups=groups, random=self._pick)
        except NothingMatched as error:
            if self.step.allow_empty:
                self.notes += error.notes
                return Selection((), (), ())
            raise PlanError(self._seen_from(problem, model, at) for problem in error.problems) from error
        except PlanError as error:
            raise PlanError(self._seen_from(problem, model, at) for problem in error.problems) from error
        self.notes += selection.notes
        return selection

    def select_layers(self, target: Target, *at: str | int, model: str = "") -> tuple[LayerSpec, ...]:
        """Returns the layers that a target stands for; none if it matches none and the step allows it."""
        try:
            selection = self.index(model).layers(target, random=self._pick)
        except NothingMatched as error:
            if self.step.allow_empty:
                return ()
            raise PlanError(self._seen_from(problem, model, at) for problem in error.problems) from error
        except PlanError as error:
            raise PlanError(self._seen_from(problem, model, at) for problem in error.problems) from error
        return selection.layers

    @property
    def architecture(self) -> Architecture:
        """The model's architecture as the steps so far have left it.

        Raises:
            PlanError: it is one that cannot be edited.
        """
        if self._architecture is None:
            self._architecture = self._unedited = self._taken_apart(self.config)
        return self._architecture

    @property
    def edited_architecture(self) -> Architecture | None:
        """The architecture, if a step has changed it."""
        return None if self._architecture is self._unedited else self._architecture

    @property
    def unedited_architecture(self) -> Architecture:
        """The architecture before the first step, if a step has looked at it."""
        assert self._unedited is not None
        return self._unedited

    def _taken_apart(self, config: Mapping[str, Any], model: str = "") -> Architecture:
        """Returns the architecture of a model, whose layers steps select from then on.

        Raises:
            PlanError: it is one that cannot be edited.
        """
        from mutspec.structure.architecture import architecture_of

        try:
            found = architecture_of(config, self.models[model])
        except ModelError as error:
            raise PlanError(replace(problem, path=("op",)) for problem in error.problems) from error
        self._look_at(found.spec, model)
        return found

    def _look_at(self, spec: ModelSpec, model: str = "") -> None:
        """Takes the spec of a model that steps select from."""
        if spec is not self.models[model]:
            self.models[model] = spec
            self._indexes.pop(model, None)
            self._cases.clear()

    def network_of_input(self, name: str) -> Network:
        """Returns the network of an input. From then on, steps select from the layers that it has.

        Raises:
            PlanError: it is one that cannot be taken apart.
        """
        if name not in self._input_networks:
            self._input_networks[name] = self._taken_apart(self.input_configs.get(name, {}), name).network
        return self._input_networks[name]

    def flow(self) -> Flow:
        """Returns what tells the types of tensors between layers."""
        from mutspec.structure.flow import Flow

        return Flow(self.shape_oracle, lambda path: {})

    @property
    def shape_oracle(self) -> ShapeOracle:
        """Tells what shapes layers make."""
        if self.oracle is None:
            from mutspec.structure.shape_rules import TableOracle

            self.oracle = TableOracle()
        return self.oracle

    def restructure(self, change: Change) -> tuple[TensorSpec, ...]:
        """Changes the architecture, and returns the weights that this adds. They have no values yet."""
        from mutspec.structure.architecture import restructured
        from mutspec.structure.compile_state import output_change
        from mutspec.structure.layer_edit import EditKind
        from mutspec.structure.layer_edits import layer_edits, without_effect

        before = self.architecture
        self._architecture, created = restructured(before, change, self.shape_oracle, self.step.number)
        made = tuple(layer_edits(before, self._architecture, change))
        self.layers_added += sum(each.kind is EditKind.ADDED for each in made)
        idle = without_effect(made, before.spec, self._architecture.spec)
        self.edits += (each for each in made if each.layer not in idle)
        outputs = output_change(before.network, self._architecture.network, change.renamed)
        self.output_change = outputs if self.output_change is None else self.output_change.then(outputs)
        self.created += created
        self._look_at(self._architecture.spec)
        return created

    def create(self, tensor: TensorSpec, value: Expression) -> None:
        """Gives a weight that the step under way has added its first value.

        Raises:
            OpError: the step has not added it, or the value is not of its shape and dtype.
            PlanError: the value depends on a first value that only Keras knows.
        """
        if all(tensor.origin != each.origin for each in self.created):
            raise self.bug(f"gives `{tensor.path}` a first value, which is not a new weight of this step")
        self._check_value(tensor, value, "the first value")
        self._refuse_unknown(value.node)
        self.builder.create(tensor.origin, value.node)

    def bug(self, what: str) -> OpError:
        """Returns the error that the op of the step under way has a bug.

        Arguments:
            what: what the op does, as the rest of a sentence whose subject it is.
        """
        return OpError(f"the op `{self.step.op}` {what}")

    def check_result(self, tensor: TensorSpec, result: Expression) -> None:
        """Checks what `lower` of the step's op gives for a tensor.

        Raises:
            OpError: it is not an expression of this plan, or of another shape.
        """
        if problem := result_problem(result, self.builder, tensor.shape or (1,)):
            raise self.bug(f"lowers `{tensor.path}` to what is not its value: {problem}")

    def check_created(self) -> None:
        """Checks that each weight which the step under way has added has a first value, or gets one from Keras.

        Raises:
            OpError: one has none.
        """
        for tensor in self.created:
            if tensor.origin not in self.builder.created and tensor.origin not in self.keras_made:
                raise self.bug(f"adds the weight `{tensor.path}` without a first value")

    def _check_value(self, tensor: TensorSpec, value: Expression, what: str) -> None:
        if problem := value_problem(value, self.builder, tensor.shape or (1,), tensor.dtype):
            raise self.bug(f"makes {what} of `{tensor.path}` wrong: {problem}")

    def case_matches(self, target: Target | UnsetType, tensor: TensorSpec, at: DocumentPath) -> bool:
        """Returns whether one entry of a list of values by target is for a tensor."""
        if target is UNSET:
            return True
        if at not in self._cases:
            chosen = self.select(target, *at, groups=ALL_GROUPS).tensors
            self._cases[at] = frozenset(each.path for each in chosen)
        return tensor.path in self._cases[at]

    def key(self, origin: str, draw: str) -> bytes:
        """Returns the key of one of the step's draws."""
        key = stream_key(self.step.seed, self.step.stream, origin, draw)
        self.draws.append((draw, key))
        return key

    def compute_dtype(self, tensor: TensorSpec) -> str:
        """Returns the dtype that a tensor is computed in."""
        return "float32" if tensor.dtype.startswith(NARROW_FLOATS) else tensor.dtype

    def read(self, tensor: TensorSpec, model: str = "") -> Expression:
        """Returns a tensor as the steps so far have left it; of an input model, as it is. A number is one entry."""
        shape: Shape = tensor.shape or (1,)
        if tensor.origin in self.keras_made and not model:
            unknown = self.builder.base("", tensor.origin, shape, tensor.dtype)
            self._unknown[unknown] = tensor
            return Expression(self.builder, unknown)
        if self.is_base(model):
            return Expression(self.builder, self.builder.base("", tensor.origin, shape, tensor.dtype))
        if model:
            return Expression(self.builder, self.builder.base(model, tensor.path, shape, tensor.dtype))
        return Expression(self.builder, self.builder.current(tensor.origin, shape, tensor.dtype))

    @property
    def has_values(self) -> bool:
        """Whether values of weights can be asked for."""
        return self.value_reader is not None

    def values(self, expressions: Sequence[Expression]) -> list[tuple[float, ...]]:
        """Computes some values while the plan is compiled, from the weights as the steps so far have left them.

        Only for what shapes depend on: which channels stay, a rank. All else is an expression, which reads no weight
        until the plan is applied. Each call reads the weights again, so ask for many values at once. Say in `notes`
        what was read, as a dry-run reads it too.

        Arguments:
            expressions: numbers and small tensors, such as norms of channels.

        Returns:
            The entries of each one, in C order.

        Raises:
            OpError: one is not an expression of this plan, or is as large as a weight.
            PlanError: no weights can be read, or one cannot; or a value depends on a first value that only Keras knows.
        """
        for each in expressions:
            if problem := expression_problem(each, self.builder):
                raise self.bug(f"asks for what is not a value: {problem}")
            if size_of(each.shape) > MOST_VALUES:
                raise self.bug(
                    f"asks for {size_of(each.shape):,} numbers while it is compiled: more than a choice needs"
                )
        nodes = [each.node for each in expressions]
        self._refuse_unknown(*nodes)
        if self.value_reader is None:
            raise PlanError(
                f"`{self.step.op}` depends on the values of weights, and here are none to read",
                path=("op",),
                hint="give it a model with weights",
            )
        self.asked += nodes
        try:
            return list(self.value_reader(self.builder.part(nodes)))
        except ModelError as error:
            raise PlanError(replace(problem, path=("op",)) for problem in error.problems) from error

    def activations(self, places: Sequence[LayerOutput]) -> list[tuple[float, ...]]:
        """Measures, on the data of the call, what flows out of layers of the model as it was before the plan.

        The numbers are those of Keras and its backend. So they are not the same to the bit on every machine.

        Arguments:
            places: the axes of outputs that are measured.

        Returns:
            The mean absolute value at each index of each one, over all samples, positions and calls.

        Raises:
            PlanError: the call gives no data, an earlier step has changed the model, or Keras cannot call it.
            CallError: the data do not fit the model, or a mean is infinite or NaN.
            EnvironmentProblem: Keras is not installed.
        """
        if self.activation_reader is None:
            raise PlanError(
                "units are ranked by activations, and the call gives no data on which to measure them",
                path=("by",),
                hint="give the model's inputs: `mutspec apply --data FILE.npz`, or `data=` in Python",
            )
        if self.builder.versions or self.edited_architecture is not None:
            raise PlanError(
                "activations are those of the model before the plan, and an earlier step has changed it",
                path=("by",),
                hint="rank by activation before other steps, or in a plan of its own; one step may have many targets",
            )
        try:
            return list(self.activation_reader(places))
        except ModelError as error:
            raise PlanError(replace(problem, path=("by",)) for problem in error.problems) from error

    def bind(self, tensor: TensorSpec, value: Expression, choice: Choice | None) -> TensorWrite:
        """Makes a value the tensor's next version, in the chosen entries alone.

        Arguments:
            tensor: a weight of the model as the steps so far have left it.
            value: the value of all its entries, in its shape and dtype.
            choice: the entries that take it; None for all.

        Raises:
            OpError: the model does not have the tensor, or the value or the choice does not fit it.
            PlanError: it is of a dtype that is not computed with, or depends on a first value that only Keras knows.
        """
        self.refuse_dtypes([tensor])
        known = self.models[""].tensor_by_path.get(tensor.path)
        if known is None or (known.origin, known.shape, known.dtype) != (tensor.origin, tensor.shape, tensor.dtype):
            raise self.bug(f"changes `{tensor.path}`, which is not a weight of the model that is mutated")
        self._check_value(tensor, value, "the value")
        if problem := choice_problem(choice, self.builder, tensor.shape or (1,)):
            raise self.bug(f"chooses entries of `{tensor.path}` that it does not have: {problem}")
        is_first = tensor.origin in self.keras_made and choice is None
        if is_first:
            self._refuse_unknown(value.node)
            self.keras_made.discard(tensor.origin)  # all of it is overwritten, so that it needs no first value
            zeros = constant(self.builder, 0).cast(tensor.dtype).spread(tensor.shape or (1,))
            self.builder.create(tensor.origin, zeros.node)
        before = self.read(tensor)
        after = value if choice is None else value.where(choice, before)
        self._refuse_unknown(after.node, *([choice.node] if isinstance(choice, Computed) else []))
        version = self.builder.bind(tensor.origin, before.node, after.node, self.step.number, choice)
        touched = tensor.size if choice is None else chosen_count(choice, before.shape)
        return TensorWrite(tensor, touched, version, is_first)

    def _refuse_unknown(self, *nodes: int) -> None:
        """Refuses values that depend on the first value of a weight that only Keras knows."""
        seen, waiting = set[int](), list(nodes) if self._unknown else []
        while waiting:
            number = waiting.pop()
            if number in self._unknown:
                path = self._unknown[number].path
                raise PlanError(
                    f"the first value of `{path}` is made by Keras while it builds the model, so that a step can "
                    "overwrite the whole of it, but not read it or change a part",
                    path=("target",),
                    hint="give the new layer an initializer that mutspec draws itself, such as glorot_uniform",
                )
            if number not in seen:
                seen.add(number)
                waiting += self.builder.nodes[number].inputs

    def refuse_dtypes(self, tensors: Iterable[TensorSpec]) -> None:
        """Refuses tensors of dtypes that are not computed with.

        Raises:
            PlanError: there is one.
        """
        for tensor in tensors:
            if not is_computed_with(tensor.dtype):
                raise PlanError(
                    f"`{tensor.path}` is {tensor.dtype}, which mutspec does not compute with",
                    path=("target",),
                    hint="leave it out with `not:`",
                )

    def refuse_integers(self, tensors: Iterable[TensorSpec]) -> None:
        """Refuses tensors of integers, for ops on real numbers."""
        integers = [tensor for tensor in tensors if tensor.dtype in INTEGERS]
        if integers:
            paths = ", ".join(f"`{tensor.path}` ({tensor.dtype})" for tensor in integers[:3])
            raise PlanError(
                f"`{self.step.op}` is for real numbers, and cannot change {paths}",
                path=("target",),
                hint="leave quantised layers out with `not:`, or choose other `weights:`",
            )

    def is_base(self, model: str) -> bool:
        """Returns whether a name stands for the model before the plan."""
        return model == BASE and self.has_base

    def named_model(self, model: str) -> str:
        """Returns another model than the one that is mutated, as messages name it."""
        return "the model before the plan" if self.is_base(model) else f"the input `{model}`"

    def _seen_from(self, problem: Problem, model: str, at: DocumentPath) -> Problem:
        """Returns a selector's problem as one of the step, with the name of the model that it was looked for in."""
        message = f"in {self.named_model(model)}, {problem.message}" if model else problem.message
        return replace(problem, message=message).below(*at)

    def _pick(self, total: int, count: int) -> list[int]:
        return Permutation(total, self.key("", "pick")).chosen(count)
