"""`mutspec ops`: shows the catalogue of ops, and the manual of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.manual import as_markdown, describe, example, manual
from mutspec.cli.options import json_option
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.errors import CallError, nearest
from mutspec.text.layout import Paint, prose, terms

if TYPE_CHECKING:
    from mutspec.ops.literature import Operator

FORMAT_VERSION = 1


def _complete_op(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from mutspec.ops import catalogue

    return [name for name in catalogue() if name.startswith(incomplete)]


@click.command("ops")
@click.argument("op", required=False, shell_complete=_complete_op)
@click.option(
    "--literature", is_flag=True, help="List the operators of the literature, and the steps that do the same."
)
@click.option("--markdown", is_flag=True, help="Print the manual of all ops as markdown: docs/ops.md.")
@json_option
def command(op: str | None, literature: bool, markdown: bool, as_json: bool) -> None:
    """List the ops by family, or explain one: its parameters, their types, defaults and bounds.

    Names from the literature work too.

    \b
    Examples:
      mutspec ops
      mutspec ops gaussian_noise
      mutspec ops NAI
      mutspec ops --literature
      mutspec ops --json
    """  # noqa: D301
    from mutspec.ops import catalogue

    ops = catalogue()
    if literature:
        _print_literature(_operators(op, ops), as_json)
        return
    said = () if op is None or op in ops else _called(op, ops)
    if said:
        op = said[0].op
    chosen = {op: ops[op]} if op is not None else dict(ops)
    if markdown:
        click.echo(as_markdown([manual(name, kind) for name, kind in chosen.items()]))
    elif as_json:
        manuals = [manual(name, kind) for name, kind in chosen.items()]
        write_json({"format_version": FORMAT_VERSION, "ops": manuals})
    elif op is not None:
        page = _page(manual(op, ops[op]))
        write(f"{_introduction(said)}\n\n{page}" if said else page)
    else:
        write(_listing(chosen))


def _called(name: str, ops: Mapping[str, type[Any]]) -> tuple[Operator, ...]:
    """Returns the operators of the literature that a name stands for, all of which are steps with one op.

    Raises:
        CallError: no operator has that name, or the operator is not a single op.
    """
    from mutspec.ops.literature import LITERATURE, called

    rows = called(name)
    if not rows:
        hint = "`mutspec ops` lists them, and `mutspec ops --literature` their names elsewhere"
        near = nearest(name, ops) or nearest(name, [row.name for row in LITERATURE])
        raise CallError(f"there is no op `{name}`", hint=hint, candidates=near)
    found = tuple(row for row in rows if row.steps)
    if not found:
        sources = " and ".join(dict.fromkeys(row.source for row in rows))
        raise CallError(
            f"`{name}` of {sources} is not supported yet: {rows[0].note}", hint="`mutspec ops` lists the ops"
        )
    if len({row.op for row in found}) > 1:
        which = "; ".join(f"`{row.op}` ({row.source})" for row in found)
        example = f"{found[0].source} {found[0].name}"
        hint = f"ask for one by its name here, or with its source: `mutspec ops '{example}'`"
        raise CallError(f"`{name}` is several ops: {which}", hint=hint)
    return found


def _operators(name: str | None, ops: Mapping[str, type[Any]]) -> tuple[Operator, ...]:
    """Returns the operators of the literature: all of them, those that an op implements, or those of a name."""
    from mutspec.ops.literature import LITERATURE, called

    if name is None:
        return LITERATURE
    if name in ops:
        return tuple(row for row in LITERATURE if row.op == name)
    return called(name) or _called(name, ops)


def _listing(ops: Mapping[str, type[Any]]) -> str:
    from mutspec.language.schema import summary
    from mutspec.ops import family

    paint = Paint(is_styled())
    families: dict[str, list[tuple[str, str]]] = {}
    for name, kind in ops.items():
        families.setdefault(family(kind), []).append((name, summary(kind)))
    longest = max(len(name) for name in ops)
    blocks = [
        f"{paint(title, 'bold')}\n"
        f"{terms([(name.ljust(longest), text) for name, text in rows], width=width(), paint=paint)}"
        for title, rows in families.items()
    ]
    return "\n\n".join([*blocks, "`mutspec ops OP` explains one."])


def _page(page: Mapping[str, Any]) -> str:
    paint, columns = Paint(is_styled()), width()
    name = paint(page["name"], "bold")
    blocks = [f"{name} ({page['family']})", prose(page["description"], width=columns, indent=2)]
    for title, is_required in (("Required", True), ("Optional", False)):
        rows = [(each["name"], describe(each)) for each in page["parameters"] if each["required"] is is_required]
        if rows:
            blocks.append(f"{paint(title, 'bold')}\n{terms(rows, width=columns, paint=paint)}")
    if page["literature"]:
        blocks.append(f"{paint('Literature', 'bold')}\n{prose(page['literature'], width=columns, indent=2)}")
    blocks.append(f"{paint('Example', 'bold')}\n{indent(example(page), '  ')}")
    return "\n\n".join(blocks)


def _introduction(rows: Sequence[Operator]) -> str:
    """Returns the lines that say which op implements operators of the literature, and by which steps."""
    paint = Paint(is_styled())
    ops = ", then ".join(dict.fromkeys(paint(str(step["op"]), "bold") for step in rows[0].steps))
    entries = [_lines(row.source, row, width(), paint) for row in rows]
    return "\n".join([f"{paint(rows[0].name, 'bold')} of the literature is {ops}:", *entries])


def _print_literature(rows: Sequence[Operator], as_json: bool) -> None:
    if as_json:
        write_json({"format_version": FORMAT_VERSION, "literature": [_entry(row) for row in rows]})
        return
    paint, columns = Paint(is_styled()), width()
    sources: dict[str, list[str]] = {}
    for row in rows:
        sources.setdefault(row.source, []).append(_lines(row.name, row, columns, paint))
    blocks = ["\n".join([paint(source, "bold"), *entries]) for source, entries in sources.items()]
    write("\n\n".join([*blocks, prose(_EXPLANATION, width=columns)]))


_EXPLANATION = """Amounts and sizes are those of the authors, where they give any; dense_1, conv_1 and the like stand
for your own layers. `mutspec ops NAI` explains the op for NAI."""


def _entry(row: Operator) -> dict[str, Any]:
    """Returns an operator as JSON values."""
    return {
        "name": row.name,
        "also": list(row.also),
        "source": row.source,
        "meaning": row.meaning,
        "level": row.level,
        "op": row.op or None,
        "steps": [dict(step) for step in row.steps],
        "note": row.note,
    }


def _lines(term: str, row: Operator, width: int, paint: Paint) -> str:
    """Returns an operator under a term: what it does and to what, and then the steps that do the same."""
    from mutspec.text.words import flow

    differs = f" – {row.note}" if row.note and row.steps else ""
    text = prose(f"{term}: {row.meaning} [{row.level}]{differs}", width=width, indent=2)
    steps = [f"      - {prose(flow(step), width=width, indent=8)[8:]}" for step in row.steps]
    steps = steps or [prose(f"not yet: {row.note}", width=width, indent=6)]
    return "\n".join([f"  {paint(term, 'bold')}{text.removeprefix(f'  {term}')}", *steps])
