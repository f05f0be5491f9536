"""The page docs/architecture-table.md, from the cells."""

# ruff: noqa: E501 (lines of the page)

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.architecture_table.models import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "architecture-table.md"

PARTS = {
    "Layers and wiring": (
        "insert_layer",
        "remove_layer",
        "replace_layer",
        "configure_layer",
        "duplicate_layers",
        "swap_layers",
        "rewire",
        "share_weights",
        "unshare_weights",
    ),
    "Edits that keep predictions, conversions, inputs": (
        "rename_layer",
        "rename_model",
        "fold_batch_normalization",
        "deepen",
        "set_dtype_policy",
        "convert",
        "set_input",
    ),
    "Widths, kernels, ranks": (
        "remove_neurons",
        "widen_layer",
        "resize_output",
        "resize_embedding",
        "grow_kernel",
        "shrink_kernel",
        "factorize_layer",
    ),
    "Parts of models, ports, other models": (
        "nest_layers",
        "inline_model",
        "graft",
        "join",
        "extract",
        "add_output",
        "remove_output",
        "add_input",
    ),
}
"""The columns: one table for each part."""

Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]

_HEAD = """\
# Every structural op on real architectures

Made by `python -m tests.architecture_table --write`. Each cell is one step of an [op](ops.md), applied from file to file. A
process of plain Keras, which cannot import mutspec, then loads the mutant, compares its predictions with the expected ones,
and trains it for a step.

| mark | |
|---|---|
| ✓ | It predicts what it should, up to 1e-5 of the largest output. For steps that keep predictions these are the base's. For others Keras computes them: it runs the base's layers with the one layer inserted, skipped, exchanged, … by hand, or cuts the base; of a join they are NumPy's mean of both models. After `remove_neurons` they are those of the base in which `mask_neurons` has set the same units to zero. After `resize_output` they are the base's shares of the kept classes among themselves. |
| ○ | Its predictions are finite, and no more is known about them. |
| ✓ᴷ, ○ᴷ | The same, and Keras built the mutant: see [below](#built-by-keras). Otherwise mutspec writes the file. |
| ✗ | A fault: the mutant is wrong, and we know. |
| a number | The op makes no sense on the model, and mutspec [says why](#refusals). |

After `set_dtype_policy`, `remove_neurons`, `widen_layer` and `resize_output` 1e-4 of the largest output is allowed, and after
`convert` to channels_first, which XLA runs, and `factorize_layer` at the full rank, too. If the base computes in half precision,
the limit for these, but for `convert`, and for `fold_batch_normalization` and `join` is 2e-2.

The models of keras.applications have random weights and statistics, and the smallest images that they take. `digits` is the model that ships. The
others are in `tests/zoo`.
"""


def page(cells: Cells) -> str:
    """Returns the text of the page."""
    notes = _notes(cells)
    missing = [f"`{model}`" for model in MODELS if model not in cells]
    lines = [_HEAD, *([f"Not computed yet: {', '.join(missing)}.", ""] if missing else [])]
    for title, ops in PARTS.items():
        lines += [f"## {title}", "", f"| | {' | '.join(f'`{op}`' for op in ops)} |", f"|---|{'---|' * len(ops)}"]
        for model, row in cells.items():
            lines.append(f"| {model} | {' | '.join(_mark(row[op], notes) for op in ops)} |")
        lines.append("")
    lines += ["## Refusals", ""]
    lines += [f"{number}. {_clause(example)}" for number, example in notes.values()]
    lines += ["", "Of messages that differ in names and numbers only, one is shown.", *_built_by_keras(cells)]
    return "\n".join([*lines, *_steps(cells)]) + "\n"


def _mark(cell: Mapping[str, Any], notes: Mapping[str, tuple[int, str]]) -> str:
    if cell["mark"] == "refused":
        return f"[{notes[_pattern(cell['message'])][0]}](#refusals)"
    if cell["mark"] == "wrong":
        return "✗"
    return ("○" if cell["held"] == "finite" else "✓") + ("ᴷ" if "by_keras" in cell else "")


def _notes(cells: Cells) -> dict[str, tuple[int, str]]:
    """The messages that differ in more than names and numbers: by pattern, with a number and an example."""
    notes: dict[str, tuple[int, str]] = {}
    for ops in PARTS.values():
        for op in ops:
            for row in cells.values():
                if row[op]["mark"] == "refused":
                    message = row[op]["message"]
                    notes.setdefault(_pattern(message), (len(notes) + 1, message))
    return notes


def _clause(message: str) -> str:
    """A message as far as it says what is wrong in general."""
    return message if len(message) <= 200 else re.split(r"[:;] ", message)[0]


def _pattern(message: str) -> str:
    message = re.sub(r"(`[^`]*`(, | and | → |; )?)+", "`…`", re.split(r"[:;] ", message)[0])
    message = re.sub(r"\b(an? )[A-Z]\w+", "a …", message)
    message = re.sub(r"\([^)]*\)|\d+(×\d+)*", "…", message)
    return re.sub(r"a [a-z_]+ of …", "a weight of …", message)


def _built_by_keras(cells: Cells) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for model, row in cells.items():
        for op, cell in row.items():
            if "by_keras" in cell:
                reasons.setdefault(cell["by_keras"], []).append(f"{model} (`{op}`)")
    if not reasons:
        return ["", "## Built by Keras", "", "None."]
    return ["", "## Built by Keras", "", *(f"- {reason}: {', '.join(where)}" for reason, where in reasons.items())]


def _steps(cells: Cells) -> list[str]:
    """The steps of one model, as an example of what the cells stand for."""
    model = next(iter(cells))
    steps = [
        yaml.safe_dump(cell["step"], default_flow_style=True, width=1000).strip() for cell in cells[model].values()
    ]
    return [
        "",
        "## Steps",
        "",
        f"Those of {model}; the targets of the others are chosen alike.",
        "",
        "```yaml",
        *(f"- {step}" for step in steps),
        "```",
    ]
