"""`mutspec ops`: the catalogue of ops, and the manual of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mutspec.cli.layout import bold, columns, page_width, paragraph, terms
from mutspec.cli.manual import as_markdown, describe, manual
from mutspec.cli.options import json_option
from mutspec.cli.output import write, write_json
from mutspec.language import CallError, nearest

FORMAT_VERSION = 1


def _complete_op(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from mutspec.ops import catalogue

    return [name for name in catalogue() if name.startswith(incomplete)]


@click.command("ops")
@click.argument("op", required=False, shell_complete=_complete_op)
@click.option("--literature", is_flag=True, help="List the operators of the literature, and which op each of them is.")
@click.option("--markdown", is_flag=True, help="Print the manual of all ops as markdown: docs/ops.md.")
@json_option
def command(op: str | None, literature: bool, markdown: bool, as_json: bool) -> None:
    """List the ops by family, or explain one: its parameters, their types, defaults and bounds.

    \b
    Examples:
      mutspec ops
      mutspec ops gaussian_noise
      mutspec ops --literature
      mutspec ops --json
    """  # noqa: D301
    from mutspec.ops import catalogue

    ops = catalogue()
    if literature:
        _print_literature(ops, op, as_json)
        return
    if op is not None and op not in ops:
        raise CallError(f"there is no op `{op}`", hint="`mutspec ops` lists them", candidates=_nearest_ops(op, ops))
    chosen = {op: ops[op]} if op is not None else dict(ops)
    if markdown:
        click.echo(as_markdown([manual(name, kind) for name, kind in chosen.items()]))
    elif as_json:
        manuals = [manual(name, kind) for name, kind in chosen.items()]
        write_json({"format_version": FORMAT_VERSION, "ops": manuals})
    elif op is not None:
        write(_page(manual(op, ops[op])))
    else:
        write(_listing(chosen))


def _nearest_ops(name: str, ops: Mapping[str, type[Any]]) -> tuple[str, ...]:
    """Ops of a similar name, or that the literature calls so."""
    from mutspec.cli.literature import LITERATURE

    said = [row.op for row in LITERATURE if row.op in ops and name.lower() in row.name.lower().split(", ")]
    return tuple(dict.fromkeys([*said, *nearest(name, ops)]))


def _listing(ops: Mapping[str, type[Any]]) -> str:
    from mutspec.language.schema import summary
    from mutspec.ops import family

    width = page_width()
    families: dict[str, list[tuple[str, str]]] = {}
    for name, kind in ops.items():
        families.setdefault(family(kind), []).append((name, summary(kind)))
    longest = max(len(name) for name in ops)
    blocks = [
        f"{bold(title)}\n{terms([(name.ljust(longest), text) for name, text in rows], width)}"
        for title, rows in families.items()
    ]
    return "\n\n".join([*blocks, "`mutspec ops OP` explains one."])


def _page(page: Mapping[str, Any]) -> str:
    width = page_width()
    blocks = [f"{bold(page['name'])} ({page['family']})", paragraph(page["description"], width, 2)]
    for title, is_required in (("Required", True), ("Optional", False)):
        rows = [(each["name"], describe(each)) for each in page["parameters"] if each["required"] is is_required]
        if rows:
            blocks.append(f"{bold(title)}\n{terms(rows, width)}")
    if page["literature"]:
        blocks.append(f"{bold('Literature')}\n{paragraph(page['literature'], width, 2)}")
    blocks.append(f"{bold('Example')}\n{_example(page)}")
    return "\n\n".join(blocks)


def _example(page: Mapping[str, Any]) -> str:
    """A short step with the op, as YAML."""
    from mutspec.execute.words import flow

    lines = [f"{key}: {flow(value)}" for key, value in page["example"].items()]
    return "\n".join(f"  {'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines))


def _print_literature(ops: Mapping[str, type[Any]], op: str | None, as_json: bool) -> None:
    from mutspec.cli.literature import LITERATURE

    rows = [row for row in LITERATURE if op is None or row.op == op]
    if as_json:
        document = [{**row._asdict(), "op": row.op if row.op in ops else None} for row in rows]
        write_json({"format_version": FORMAT_VERSION, "literature": document})
        return
    width = page_width()
    here = [(row, f"{row.op} ({row.written})" if row.op in ops else "not yet") for row in rows]
    table = columns(
        ("Source", "Operator", "Level", "Here"), [(row.source, row.name, row.level, text) for row, text in here]
    )
    if max(len(line) for line in table.splitlines()) <= width:
        write(table)
        return
    sources: dict[str, list[tuple[str, str]]] = {}
    for row, text in here:
        sources.setdefault(row.source, []).append((row.name, f"{row.meaning} [{row.level}] → {text}"))
    blocks = [
        bold(source) + "\n" + "\n".join(_entry(name, text, width) for name, text in entries)
        for source, entries in sources.items()
    ]
    write("\n\n".join(blocks))


def _entry(name: str, text: str, width: int) -> str:
    return f"  {name}\n{paragraph(text, width, 6)}"
