"""Output shapes of attention layers. Which input is the query, value or key is in the arguments of the call.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.layer_call import Extents, LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.tensor_types import Shape, TensorType


def _shapes(call: LayerCall, *tensors: Any) -> tuple[Shape, Shape, Shape]:
    """Returns the shapes of query, value and key, which is the value by default."""
    query, value, key = (each.shape if isinstance(each, TensorType) else None for each in tensors)
    if query is None or value is None:
        call.refuse("needs a query and a value, and not one input alone")
    key = value if key is None else key
    if len({len(query), len(value), len(key)}) > 1 or len(query) < 3:
        raise UncertainError
    return query, value, key


def _differ(one: int | None, other: int | None) -> bool:
    return None not in (one, other) and one != other


def _attention(call: LayerCall) -> RuleResult:
    arguments = call.bound("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
    tensors = arguments.get("inputs") if call.arguments is not None else call.without_masks
    if not isinstance(tensors, list | tuple) or len(tensors) not in (2, 3):
        call.refuse("takes a list of a query, a value and perhaps a key")
    query, value, key = _shapes(call, *tensors, *(None,) * (3 - len(tensors)))
    is_dot = call.class_name == "Attention" and call.config.get("score_mode", "dot") == "dot"
    can_broadcast = not is_dot and 1 in (query[-1], key[-1])
    if _differ(query[-1], key[-1]) and not can_broadcast:
        call.refuse(f"needs a query and a key of the same width, not {query} and {key}")
    if _differ(value[-2], key[-2]):
        call.refuse(f"needs as many values as keys, not {value} and {key}")
    weights: dict[str, Extents] = {"scale": (), "concat_score_weight": ()}
    if call.class_name == "AdditiveAttention" and call.flag("use_scale", default=True):
        weights["scale"] = (call.extent(query, -1),)
    scores = ((*query[:-1], key[-2]),) if arguments.get("return_attention_scores") else ()
    return RuleResult(((*query[:-1], value[-1]), *scores), weights)


_HEADED = (
    "query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask", "return_attention_scores",
    "training", "use_causal_mask",
)  # fmt: skip


def headed(call: LayerCall) -> tuple[Shape, Shape, Shape, bool]:
    """Returns the shapes of query, value and key, and whether the layer returns its scores, too."""
    if call.arguments is not None:
        arguments = call.bound(*_HEADED)
    elif len(call.without_masks) in (2, 3):
        arguments = dict(zip(_HEADED, call.without_masks, strict=False))
    else:
        call.refuse(f"takes a query, a value and perhaps a key, not {len(call.without_masks)} inputs")
    query, value, key = _shapes(call, *(arguments.get(name) for name in _HEADED[:3]))
    if value[1:-1] != key[1:-1]:
        call.refuse(f"needs a value and a key of the same lengths, not {value} and {key}")
    return query, value, key, bool(arguments.get("return_attention_scores"))


def _projection(kernel: Extents, bias: Extents) -> RuleResult:
    return RuleResult((), {"kernel": kernel, "bias": bias})


def _multi_head_attention(call: LayerCall) -> RuleResult:
    query, value, key, has_scores = headed(call)
    heads, width = call.whole("num_heads"), call.whole("key_dim")
    value_width = call.whole("value_dim", width)
    stated = call.config.get("output_shape")
    if stated:
        output = call.sizes("output_shape", 1 if isinstance(stated, int) else len(stated))
    else:
        output = (call.extent(query, -1),)

    def projected(shape: Shape, to: int) -> RuleResult:
        return _projection((call.extent(shape, -1), heads, to), (heads, to))

    parts = [projected(query, width), projected(key, width), projected(value, value_width)]
    if call.flag("use_gate", default=False):
        parts.insert(2, projected(query, value_width))
    parts.append(_projection((heads, value_width, *output), output))
    # Keras states the length of the query for both axes of the scores.
    scores = ((query[0], heads, query[1], query[1]),) if has_scores else ()
    return RuleResult(((*query[:-1], *output), *scores), parts=tuple(parts))


def _group_query_attention(call: LayerCall) -> RuleResult:
    query, value, key, has_scores = headed(call)
    heads, groups = call.whole("num_query_heads"), call.whole("num_key_value_heads")
    width = call.whole("head_dim")
    if len(query) != 3:
        call.refuse(f"needs inputs of rank 3, not {query}")
    if heads % groups:
        call.refuse(f"has num_query_heads = {heads}, which num_key_value_heads = {groups} does not divide")
    if query[-1] != value[-1]:
        call.refuse(f"needs a query and a value of the same width, not {query} and {value}")
    features = call.extent(query, -1)

    def projected(shape: Shape, count: int) -> RuleResult:
        return _projection((call.extent(shape, -1), count, width), (count, width))

    parts = [projected(query, heads), projected(key, groups), projected(value, groups)]
    if call.flag("use_gate", default=False):
        parts.insert(2, projected(query, heads))
    parts.append(_projection((heads, width, features), (features,)))
    scores = ((query[0], heads, query[1], key[1]),) if has_scores else ()
    return RuleResult((query, *scores), parts=tuple(parts))


ATTENTION_RULES: Mapping[str, Rule] = {
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _group_query_attention,
}
"""The rules by class."""
