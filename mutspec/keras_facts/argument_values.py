"""Checks of the values of arguments of Keras's layers, by the argument's name.

An argument without a row here takes any value here, and Keras checks it when it builds the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

from mutspec.errors import Problem, nearest
from mutspec.keras_facts.classes import dimensions_of
from mutspec.keras_facts.dtypes import POLICY_NAMES
from mutspec.keras_facts.layer_arguments import CHOOSES_DTYPE, arguments_of, known_classes
from mutspec.keras_facts.layer_names import name_problem
from mutspec.keras_facts.object_arguments import object_problem
from mutspec.keras_facts.object_names import (
    ACTIVATION_LAYERS,
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    POLICIES,
    QUANTIZERS,
    REGULARIZERS,
)
from mutspec.text.words import got


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of value.

    Arguments:
        says: its description: "a whole number of at least 1".
        fits: returns whether a value is of this kind.
        names: the names that a value is chosen from, if it is.
        is_size: whether its whole numbers are those of entries, windows and steps of tensors.
    """

    says: str
    fits: Callable[[Any], bool]
    names: frozenset[str] = frozenset()
    is_size: bool = False


_LARGEST_SIZE = 2**31 - 1
"""The kernels of TensorFlow take sizes and steps of windows as 32-bit integers (`MaxPooling1D(2**31)` fails)."""

_LARGEST_WHOLE = 2**63 - 1
"""Tensors of TensorFlow hold whole numbers of 64 bits (`Dropout(0.5, seed=2**63)` fails)."""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(minimum: int) -> ValueKind:
    says = f"a whole number of at least {minimum}"
    return ValueKind(says, lambda value: _is_whole(value) and value >= minimum, is_size=True)


def _sizes(minimum: int, count: int = 0) -> ValueKind:
    """Returns the kind of a whole number for each dimension, or one for all."""

    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return bool(value) and len(value) in (count, count or len(value)) and all(map(fits_one, value))
        return fits_one(value)

    def fits_one(value: Any) -> bool:
        return _is_whole(value) and value >= minimum

    listed = f"a list of {count}" if count else "a list of them"
    return ValueKind(
        f"a whole number of at least {minimum}, or {listed}" if count != 1 else f"a whole number of at least {minimum}",
        fits,
        is_size=True,
    )


def _margins(count: int) -> ValueKind:
    """Returns the kind of padding and cropping: a number, one for each dimension, or a pair for each."""

    def fits(value: Any) -> bool:
        pairs = isinstance(value, list) and len(value) == max(count, 2 if count == 1 else count)
        return (
            is_margin(value)
            or (pairs and all(map(is_margin, value)))
            or (
                pairs
                and count > 1
                and all(isinstance(pair, list) and len(pair) == 2 and all(map(is_margin, pair)) for pair in value)
            )
        )

    def is_margin(value: Any) -> bool:
        return _is_whole(value) and value >= 0

    return ValueKind("a whole number of at least 0, or a list with one for each dimension", fits, is_size=True)


def _number(minimum: float = -inf, maximum: float = inf) -> ValueKind:
    bounds = (
        f" from {minimum:g} to {maximum:g}" if maximum < inf else f" of at least {minimum:g}" if minimum > -inf else ""
    )
    return ValueKind(f"a number{bounds}", lambda value: _is_number(value) and minimum <= value <= maximum)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _choice(*names: str) -> ValueKind:
    return ValueKind(_either(names), lambda value: value in names, frozenset(names))


def _named(what: str, names: frozenset[str]) -> ValueKind:
    """Returns the kind of an object of Keras: its name, a name that the user registered, or its serialised form."""

    def fits(value: Any) -> bool:
        if isinstance(value, Mapping):
            name = value.get("class_name")
            name = value.get("config") if name == "function" else name
            exists = isinstance(name, str) and (name in names or ">" in name or bool(value.get("registered_name")))
            return exists and isinstance(value.get("config", {}), Mapping | str)
        return isinstance(value, str) and (value in names or ">" in value)

    return ValueKind(f"the name of {what}", fits, names)


def _listed(what: str, fits: Callable[[Any], bool]) -> ValueKind:
    return ValueKind(f"a list of {what}", lambda value: isinstance(value, list) and all(map(fits, value)))


_FLAG = ValueKind("true or false", lambda value: isinstance(value, bool))
_FRACTION = _number(0, 1)
_AXES = ValueKind(
    "a whole number, or a list of them",
    lambda value: _is_whole(value) or (isinstance(value, list) and bool(value) and all(map(_is_whole, value))),
)
_NAME = ValueKind("a text", lambda value: isinstance(value, str))
_DTYPE = ValueKind(
    _either(POLICY_NAMES),
    lambda value: value in POLICY_NAMES if isinstance(value, str) else isinstance(value, Mapping),
    frozenset(POLICY_NAMES),
)
_RESIZING = _choice("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")


def _each(kind: ValueKind, names: str) -> dict[str, ValueKind]:
    return dict.fromkeys(names.split(), kind)


_KINDS: Mapping[str, ValueKind] = {
    **_each(_whole(1), "units filters input_dim output_dim n num_heads key_dim value_dim head_dim num_query_heads"),
    **_each(_whole(1), "num_key_value_heads depth_multiplier groups power_iterations height width"),
    **_each(_FLAG, "use_bias center trainable keepdims mask_zero normalize unit_forget_bias reset_after synchronized"),
    **_each(_FLAG, "renorm return_sequences return_state go_backwards stateful unroll zero_output_for_mask sparse"),
    **_each(_FLAG, "invert use_scale use_gate crop_to_aspect_ratio pad_to_aspect_ratio tie_weights"),
    **_each(_FRACTION, "rate dropout recurrent_dropout stddev momentum renorm_momentum"),
    **_each(_number(0), "epsilon negative_slope threshold max_value l1 l2"),
    **_each(_number(), "alpha mask_value"),
    **_each(_AXES, "axis axes shared_axes attention_axes"),
    **_each(_named("an activation", ACTIVATIONS), "activation recurrent_activation"),
    "seed": ValueKind("a whole number", _is_whole),
    "name": _NAME,
    "dtype": _DTYPE,
    "data_format": _choice("channels_last", "channels_first"),
    "merge_mode": _choice("sum", "mul", "concat", "ave"),
    "score_mode": _choice("dot", "concat"),
    "dims": _listed("whole numbers of at least 1", lambda value: _is_whole(value) and value >= 1),
    "target_shape": _listed("whole numbers, one of which may be -1", lambda value: value is None or _is_whole(value)),
    "equation": ValueKind("a text such as ab,bc->ac", lambda value: isinstance(value, str)),
    # The name of a file here would make Keras read a file that the call does not name.
    "vocabulary": ValueKind("a list", lambda value: isinstance(value, list)),
}

_KINDS_BY_END: Mapping[str, ValueKind] = {
    "_initializer": _named("an initializer", INITIALIZERS),
    "_regularizer": _named("a regularizer", REGULARIZERS),
    "_constraint": _named("a constraint", CONSTRAINTS),
}

_SIZES = {"kernel_size": 1, "strides": 1, "dilation_rate": 1, "pool_size": 1, "output_size": 1, "output_padding": 0}


def _kind_of(class_name: str, key: str) -> ValueKind | None:
    dimensions = dimensions_of(class_name)
    if key == "dtype" and class_name in CHOOSES_DTYPE:
        return None
    if key in _SIZES:
        return _sizes(_SIZES[key], dimensions)
    if key == "size" and dimensions:
        return _whole(1) if dimensions == 1 else _sizes(1, dimensions)
    if key in ("padding", "cropping") and class_name.startswith(("ZeroPadding", "Cropping")):
        return _margins(dimensions)
    if key == "padding":
        return _choice("valid", "same", *(("causal",) if class_name == "Conv1D" else ()))
    if key == "scale" and class_name.endswith("Normalization"):
        return _FLAG
    if key == "groups" and class_name == "GroupNormalization":
        return ValueKind(
            "a whole number of at least 1, or -1 for all channels",
            lambda value: _is_whole(value) and (value > 0 or value == -1),
        )
    if key == "interpolation" and class_name.startswith(("UpSampling", "Resizing")):
        return _RESIZING
    return _KINDS.get(key) or next((kind for end, kind in _KINDS_BY_END.items() if key.endswith(end)), None)


_FORMS: Mapping[str, str] = {
    "initializer": "glorot_uniform, or {type: RandomNormal, stddev: 0.02}",
    "regularizer": "l2, or {type: L2, l2: 0.01}",
    "constraint": "non_neg, or {type: MaxNorm, max_value: 2}",
    "activation": "relu, or {type: LeakyReLU, negative_slope: 0.1}",
}
"""Examples of objects of Keras in plans, by the end of an argument's name."""

_OTHER_OBJECTS: Mapping[str, frozenset[str]] = {"dtype": POLICIES, "quantization_config": QUANTIZERS}
"""Other arguments that are objects, with the names of their classes."""


def long_form(key: str, value: Any) -> Any:
    """Returns Keras's form of an object for an argument that is written as layers are: `{type: L2, l2: 0.01}`."""
    if not isinstance(value, Mapping) or "class_name" in value or not isinstance(name := value.get("type"), str):
        return value
    if not key.endswith(tuple(_FORMS)) and name not in _OTHER_OBJECTS.get(key, ()):
        return value
    config = {each: argument for each, argument in value.items() if each != "type"}
    if key.endswith("activation") and name in ACTIVATIONS and not config:
        return name
    return {"class_name": name, "config": config}


def is_activation_layer(key: str, value: Any) -> bool:
    """Returns whether an argument is an activation that is written as a layer: `{type: LeakyReLU}`."""
    is_object = key.endswith("activation") and isinstance(value, Mapping)
    return is_object and value.get("class_name", value.get("type")) in ACTIVATION_LAYERS


def value_problem(class_name: str, key: str, value: Any) -> Problem | None:
    """Returns the problem of an argument's value, if it has one. Its path begins at the value.

    Arguments:
        class_name: a class of Keras.
        key: the argument.
        value: a JSON value.
    """
    if key == "name" and isinstance(value, str) and (wrong := name_problem(value)):
        return Problem(f"the name {f'`{value}` ' if value else ''}{wrong}", hint="give another name")
    kind = _kind_of(class_name, key)
    most = _LARGEST_SIZE if kind is not None and kind.is_size else _LARGEST_WHOLE
    if (largest := max(_whole_numbers(value), default=0)) > most:
        hint = f"the largest that TensorFlow takes is {most:,}"
        return Problem(f"`{key}` of {a(class_name)} is too large: {_shown(largest)}", hint=hint)
    if kind is None or (value is None and _may_be_null(class_name, key)) or kind.fits(value):
        if key.endswith("activation") and _name_of(value) == "glu":
            return Problem(f"`{key}` cannot be `glu`, which halves the channels, as Keras's layers do not expect")
        if key.endswith("activation") and isinstance(value, Mapping) and value.get("class_name") in ACTIVATIONS:
            message = f"the activation `{value['class_name']}` is a function, which is given by its name alone"
            return Problem(message, hint=f"for instance {_FORMS['activation']}")
        is_object = kind is not None and bool(kind.names) and isinstance(value, Mapping)
        return object_problem(value, key.rpartition("_")[2]) if is_object else None
    name = _name_of(value)
    if kind.names and name is not None and kind.says.startswith("the name of"):
        what = kind.says.removeprefix("the name of a ").removeprefix("the name of an ")
        candidates = _nearest(name, kind.names)
        if what == "activation" and name in known_classes():
            function = next((each for each in ACTIVATIONS if each.replace("_", "") == name.lower()), "")
            instead = f"write `{function}` for the function; " if function else ""
            use = "insert it after this one with `insert_layer`"
            use = f"write {{type: {name}}}, with its arguments" if name in ACTIVATION_LAYERS else use
            hint = f"{instead}to use the layer, {use}"
            return Problem(f"`{name}` is a layer, but `{key}` takes the name of a function", hint=hint)
        hint = "" if candidates else f"your own is written under its registered name, such as `my_package>{name}`"
        return Problem(f"unknown {what} `{name}`", hint=hint, candidates=candidates)
    candidates = nearest(value, kind.names) if isinstance(value, str) else ()
    form = next((form for end, form in _FORMS.items() if key.endswith(end)), "")
    hint = f"for instance {form}" if form and not candidates else ""
    if isinstance(value, str) and (number := _number_in(value)) is not None and kind.fits(number):
        hint = f"write it without quotes: `{key}: {value}`"
    message = f"`{key}` of {a(class_name)} takes {kind.says}, not {_shown(value)}"
    return Problem(message, hint=hint, candidates=candidates)


def _whole_numbers(value: Any) -> Iterator[int]:
    """Yields the sizes of the whole numbers in a value."""
    if isinstance(value, list):
        for each in value:
            yield from _whole_numbers(each)
    elif _is_whole(value):
        yield abs(value)


def a(class_name: str) -> str:
    """Returns a class's name with its article: "a Dense", "an Embedding", "an LSTM"."""
    return f"{'an' if class_name.startswith(_VOWEL_SOUNDS) else 'a'} {class_name}"


_VOWEL_SOUNDS = ("A", "E", "I", "O", "LSTM", "RNN", "RMS", "STFT")


def _number_in(text: str) -> int | float | None:
    """Returns the number that a text is, such as "12" for which YAML had `'12'`."""
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return None


def _shown(value: Any) -> str:
    text = str(value)
    return text if isinstance(value, list) and len(text) <= 30 else got(value)


def _may_be_null(class_name: str, key: str) -> bool:
    argument = (arguments_of(class_name) or {}).get(key)
    is_optional = argument is None or (not argument.is_required and argument.default is None)
    return is_optional or key.endswith("activation")


def _name_of(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("config") if value.get("class_name") == "function" else value.get("class_name")
    return value if isinstance(value, str) else None


def _nearest(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the nearest names in the user's spelling: snake_case or CamelCase."""
    is_snake_case = name.islower() or "_" in name
    return nearest(name, [each for each in names if each.islower() == is_snake_case])
