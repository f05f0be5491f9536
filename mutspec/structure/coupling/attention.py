"""Rules of attention layers. The units of those with heads are the heads; the widths within a head are others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mutspec.keras_facts.layer_axes import GROUPED_HEADS, HEADS, LayerAxes
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.axis_call import AxisCall, Followed, Rule, Traced, UncoupledError
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.coupling.patterns import follow
from mutspec.structure.network import refs


def _query_value_key(call: AxisCall) -> tuple[TensorRef, ...]:
    """Returns the query, the value and the key, which is the value by default."""
    query, value, key = call.argument(0, "query"), call.argument(1, "value"), call.argument(2, "key")
    if not isinstance(query, TensorRef) or not isinstance(value, TensorRef):
        raise UncoupledError("is called on other arguments than a query and a value")
    return query, value, key if isinstance(key, TensorRef) else value


def _with_roots(call: AxisCall, traced: Traced, argument: str) -> Traced:
    """Returns what is known of a layer that divides scores by the square root of the width of a head.

    The query is multiplied by the change of that, so that the scores stay. In a quantised layer its scale is a divisor.
    """
    kernel = "query/kernel_scale" if call.is_quantized else "query/kernel"
    roots = (kernel, "query/bias", "query/lora_kernel_b")
    call.ties.mark(traced.widths[argument], MarkKind.SUMMED, call.path, "sums over the products of channels")
    return replace(traced, roots=dict.fromkeys(roots, traced.widths[argument]))


def multi_head(call: AxisCall) -> Traced:
    """The width of values is that of keys by default, and that of the output that of the query."""
    inputs = _query_value_key(call)
    stated = call.config.get("output_shape")
    axes, made = HEADS, {}
    if isinstance(stated, list | tuple) and len(stated) > 1:
        names = " ".join(f"o{number}" for number in range(len(stated)))
        axes = replace(
            HEADS,
            call=HEADS.call.replace(" o,", f" {names},"),
            weights={role: pattern.replace("o", names) for role, pattern in HEADS.weights.items()},
            widths={**HEADS.widths, "output_shape": names},
        )
    width = call.shapes[inputs[0]][-1]
    if not stated and width is not None:
        made["o"] = width
    if not call.config.get("value_dim"):
        made["v"] = int(call.config["key_dim"])
    traced = follow(replace(axes, made=made), call, inputs)
    followed = dict(traced.arguments)
    if "v" in made:
        followed["config", "value_dim"] = Followed(traced.widths["value_dim"], traced.widths["key_dim"])
    if "o" in made:
        query = call.axes[inputs[0]][-1]
        own = traced.widths["output_shape"]
        followed["config", "output_shape"] = Followed(own, query if query is not None else own)
    return _with_roots(call, replace(traced, arguments=followed), "key_dim")


def grouped_query(call: AxisCall) -> Traced:
    """Some query heads share a key and a value. Where there are more such groups than heads in one, a group goes whole.

    Else a query head goes from each group. The output is as wide as the query.
    """
    heads, groups = int(call.config["num_query_heads"]), int(call.config["num_key_value_heads"])
    if 1 < groups >= heads // groups:
        axes = replace(GROUPED_HEADS, sizes={"r": heads // groups})
    else:
        widths = {name: pattern for name, pattern in GROUPED_HEADS.widths.items() if pattern != "g"}
        axes = replace(GROUPED_HEADS, widths=widths, sizes={"g": groups}, made={"r": heads // groups})
    traced = follow(axes, call, _query_value_key(call))
    call.note_counted(traced.widths["num_query_heads"])
    return _with_roots(call, traced, "head_dim")


def without_heads(call: AxisCall) -> Traced:
    """Attention and AdditiveAttention are called on a list."""
    query, value, *key = refs([call.argument(0, "inputs")])
    inputs = (query, value, *(key or [value]))
    is_additive = call.class_name == "AdditiveAttention"
    scale = "d >" if is_additive else ""
    axes = LayerAxes("_ * d, _ * v, _ * d -> _ * v, _ * _", {"scale": scale, "concat_score_weight": ""})
    traced = follow(axes, call, inputs)
    width = call.axes[query][-1]
    if not is_additive and call.config.get("score_mode", "dot") == "dot":
        call.note_products(width, (inputs[0], inputs[2]))
    elif not is_additive or not call.config.get("use_scale", True):
        call.note_summed(width, (inputs[0], inputs[2]), "sums over all channels")
    return traced


ATTENTION: Mapping[str, Rule] = {
    "MultiHeadAttention": multi_head,
    "GroupQueryAttention": grouped_query,
    "Attention": without_heads,
    "AdditiveAttention": without_heads,
}
"""The rules by class."""
