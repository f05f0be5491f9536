"""The loss, loss weights and metrics of a model whose outputs change.

Keras keys them by output in three ways (`trainers/compile_utils.py`): by the names of the layers that make the outputs
(`Functional.output_names`), unless the outputs are a dictionary; by position, in lists; and by the nesting of the
outputs themselves, whose keys no edit of layers changes. A single value applies to all outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.errors import Problem
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Network, mapped, refs

NOT_COMPILED = Problem(
    "the mutant is not compiled, because it is another model than its base",
    hint="compile it before you train it",
    is_warning=True,
)
"""The warning where a step makes a model for another purpose, such as a part of the base."""

_LOSSES = ("loss", "loss_weights")
_METRICS = ("metrics", "weighted_metrics")


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model.

    Arguments:
        nesting: the lists and dictionaries that they are in, with a number in the place of each.
        names: their names; none in a Sequential model.
        count: their number.
    """

    nesting: Any
    names: tuple[str, ...]
    count: int

    @property
    def have_names(self) -> bool:
        """Whether Keras finds them by name, and not by the keys of a dictionary."""
        return bool(self.names) and not isinstance(self.nesting, Mapping)

    @property
    def are_flat(self) -> bool:
        """Whether they are one output, or a list of them."""
        return isinstance(self.nesting, int) or self.nesting == list(range(self.count))


@dataclass(frozen=True)
class OutputChange:
    """The outputs of a model, and those after some steps.

    Arguments:
        before, after: the outputs.
        sources: for each output after, the number of the output before that it continues; None for a new one.
    """

    before: Outputs
    after: Outputs
    sources: tuple[int | None, ...]

    def then(self, later: OutputChange) -> OutputChange:
        """Returns this change and a later one as one change."""
        sources = (None if each is None else self.sources[each] for each in later.sources)
        return OutputChange(self.before, later.after, tuple(sources))


def output_change(before: Network, after: Network, renamed: Mapping[str, str]) -> OutputChange:
    """Returns what one edit does to the outputs of a model.

    If their number stays, each continues the one at its position. Otherwise it continues the one that is the same
    tensor, or has the same key.

    Arguments:
        before: the model.
        after: the model after the edit.
        renamed: the old path of each renamed layer, by its new path.
    """
    old, new = list(_keyed(before.outputs)), list(_keyed(after.outputs))
    sources: list[int | None] = list(range(len(old)))
    if len(old) != len(new):
        free, sources = dict(enumerate(old)), []
        for key, ref in new:
            was = TensorRef(renamed.get(ref.layer, ref.layer), ref.call, ref.output)
            same = (number for number, (each, tensor) in free.items() if tensor == was or (key and each == key))
            sources.append(next(same, None))
            if sources[-1] is not None:
                del free[sources[-1]]
    return OutputChange(_outputs(before), _outputs(after), tuple(sources))


def _keyed(outputs: Any, key: str = "") -> Iterator[tuple[str, TensorRef]]:
    """Yields each output with its key, if it has one."""
    if isinstance(outputs, TensorRef):
        yield key, outputs
    elif isinstance(outputs, Mapping):
        for name, each in outputs.items():
            yield from _keyed(each, name)
    else:
        for each in outputs:
            yield from _keyed(each)


def _outputs(network: Network) -> Outputs:
    names = tuple(ref.layer for ref in refs([network.outputs]))
    numbers = iter(range(len(names)))
    nesting = mapped(network.outputs, lambda _: next(numbers))
    return Outputs(nesting, () if network.is_sequential else names, len(names))


@dataclass(frozen=True)
class _Argument:
    """An argument of `compile`.

    Arguments:
        values: its value for each output before that it has one for, by number.
        write: returns the argument, for the values and outputs after.
        is_keyed: whether it has a value of its own for each output.
    """

    values: Mapping[int, Any]
    write: Callable[[Mapping[int, Any], Outputs], Any]
    is_keyed: bool = True


def compile_state(compiled: Mapping[str, Any], change: OutputChange) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the arguments of `compile` for a model with other outputs, and warnings of what does not follow.

    Arguments:
        compiled: the serialised arguments, as in the `compile_config` of a model.
        change: the change of the outputs.

    Returns:
        The arguments, empty if no output continues one of the base; and the warnings.
    """
    stay = change.sources == tuple(range(change.before.count))
    if stay and change.before.names == change.after.names:
        return dict(compiled), ()
    if all(source is None for source in change.sources):
        return {}, ("the mutant is not compiled, because none of its outputs is one of the base",)
    changed, unmatched, gone = dict(compiled), list[str](), dict[int, list[str]]()
    for name in (*_LOSSES, *_METRICS):
        if compiled.get(name) is None:
            continue
        argument = _read(name, compiled, change.before)
        if argument is not None:
            kept = {
                number: argument.values[source]
                for number, source in enumerate(change.sources)
                if source is not None and argument.values.get(source) is not None
            }
            changed[name] = argument.write(kept, change.after) if kept else None
            lost = argument.values.keys() - set(change.sources) if argument.is_keyed else ()
            for number in lost:
                if argument.values[number] is not None:
                    gone.setdefault(number, []).append(name)
        elif not stay:
            changed[name] = None
            unmatched.append(name)
    dropped = (
        f"{_listed(arguments)} of the output `{_shown(change.before, number)}` {_are(arguments)} dropped, because the "
        "mutant has no such output"
        for number, arguments in sorted(gone.items())
    )
    unknown = (f"`{name}` is dropped, because it does not match the outputs of the base" for name in unmatched)
    return changed, (*dropped, *unknown)


def with_compile_state(
    config: Mapping[str, Any], compiled: Mapping[str, Any] | None, change: OutputChange | None
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Returns a serialised mutant that is compiled as its base, as far as that follows, and warnings.

    Arguments:
        config: the serialised mutant.
        compiled: the `compile_config` of the base; None if it is not compiled.
        change: the change of the outputs; None if there is none.
    """
    whole = {key: each for key, each in config.items() if key != "compile_config"}
    if not compiled:
        return (dict(config) if not config.get("compile_config") else whole), ()
    if change is None:
        return {**whole, "compile_config": compiled}, ()
    stated, warnings = compile_state(compiled, change)
    return (
        {**whole, "compile_config": stated} if stated else whole,
        tuple(
            Problem(warning, hint="" if stated else "compile it before you train it", is_warning=True)
            for warning in warnings
        ),
    )


def _read(name: str, compiled: Mapping[str, Any], outputs: Outputs) -> _Argument | None:
    """Returns an argument of `compile` by output; None if it does not match the outputs."""
    value, numbers = compiled[name], range(outputs.count)
    is_flat = _is_container(outputs.nesting) and len(outputs.nesting) == outputs.count  # as Keras decides it
    if not _is_container(value):
        return _Argument(dict.fromkeys(numbers, value), _write_shared, is_keyed=False)
    if name in _METRICS and outputs.count == 1:
        if isinstance(value, Mapping):
            return _Argument({0: _leaves(value)}, _write_names)
        return _Argument({0: value}, _write_metrics_of_one)
    if isinstance(value, Mapping) and outputs.have_names:
        if name == "loss_weights" and not isinstance(compiled.get("loss"), Mapping) and len(value) == outputs.count:
            # Keras then takes them in the order of their sorted keys, whatever these are.
            return _Argument(dict(enumerate(value[key] for key in sorted(value))), _write_list)
        if value.keys() <= set(outputs.names):
            by_name = {number: value[key] for number, key in enumerate(outputs.names) if key in value}
            return _Argument(by_name, _write_all_names if name in _LOSSES else _write_names)
        return None
    is_by_position = is_flat if name in _METRICS else not any(map(_is_container, _items(value)))
    if isinstance(value, list) and len(value) == outputs.count and is_by_position:
        return _Argument(dict(enumerate(value)), _write_list)
    matched = _matched(outputs.nesting, value)
    return None if matched is None else _Argument(matched, _write_nested)


def _matched(nesting: Any, value: Any) -> dict[int, Any] | None:
    """Returns the value for each output from one that is nested as they are; None if it is nested in another way."""
    if isinstance(nesting, int):
        return {nesting: value}
    if not _is_container(value) or isinstance(nesting, Mapping) != isinstance(value, Mapping):
        return None
    if isinstance(nesting, Mapping):
        pairs = [(nesting.get(key), each) for key, each in value.items()]
    else:
        pairs = list(zip(nesting, value, strict=False)) if len(nesting) == len(value) else [(None, None)]
    parts = [None if inner is None else _matched(inner, each) for inner, each in pairs]
    return None if None in parts else {number: each for part in parts for number, each in (part or {}).items()}


def _write_shared(values: Mapping[int, Any], outputs: Outputs) -> Any:
    return next(iter(values.values())) if len(values) == outputs.count else _write_list(values, outputs)


def _write_metrics_of_one(values: Mapping[int, Any], outputs: Outputs) -> Any:
    """Returns a list of metrics, of which a single output takes all, however deep it is."""
    ((number, value),) = values.items()
    return value if outputs.count == 1 else _write_list({number: _leaves(value)}, outputs)


def _write_list(values: Mapping[int, Any], outputs: Outputs) -> Any:
    """Returns values by position; by keys, if the outputs are in dictionaries or in lists of lists."""
    if not outputs.are_flat:
        return _write_nested(values, outputs)
    return [values.get(number) for number in range(outputs.count)]


def _write_names(values: Mapping[int, Any], outputs: Outputs) -> Any:
    """Returns values by name; by position or keys, if two outputs have one name, or Keras does not go by names."""
    if not outputs.have_names or len(set(outputs.names)) < outputs.count:
        return _write_list(values, outputs)
    return {outputs.names[number]: value for number, value in values.items()}


def _write_all_names(values: Mapping[int, Any], outputs: Outputs) -> Any:
    """Returns values by name for all outputs, because Keras takes no loss that leaves one out."""
    return _write_names({number: values.get(number) for number in range(outputs.count)}, outputs)


def _write_nested(values: Mapping[int, Any], outputs: Outputs) -> Any:
    def written(nesting: Any) -> Any:
        if isinstance(nesting, int):
            return values.get(nesting)
        if isinstance(nesting, Mapping):
            return {key: written(each) for key, each in nesting.items()}
        return [written(each) for each in nesting]

    return written(outputs.nesting)


def _is_container(value: Any) -> bool:
    """Returns whether a serialised value is a list or dictionary, and not an object."""
    return isinstance(value, list) or (isinstance(value, Mapping) and not {"class_name", "config"} <= value.keys())


def _leaves(value: Any) -> list[Any]:
    """Returns what is in a serialised value, however deep, in Keras's order."""
    if not _is_container(value):
        return [] if value is None else [value]
    inner = [value[key] for key in sorted(value)] if isinstance(value, Mapping) else value
    return [leaf for each in inner for leaf in _leaves(each)]


def _items(container: Any) -> list[Any]:
    return list(container.values()) if isinstance(container, Mapping) else container


def _shown(outputs: Outputs, number: int) -> str:
    return outputs.names[number] if outputs.names else str(number)


def _listed(arguments: list[str]) -> str:
    *others, last = (f"`{each}`" for each in arguments)
    return f"{', '.join(others)} and {last}" if others else last


def _are(arguments: list[str]) -> str:
    return "is" if len(arguments) == 1 else "are"
