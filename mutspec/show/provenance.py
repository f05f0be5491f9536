"""The provenance of a mutant, and what came of making it again, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.model.provenance import Generation, ModelIdentity, Provenance
from mutspec.text import words
from mutspec.text.layout import Page, paragraph, sentence
from mutspec.text.visible import in_one_line

_DIGITS = 12
"""The digits of a digest that are shown. The JSON document has all."""


def provenance_text(provenance: Provenance, name: str, page: Page) -> str:
    """Formats a provenance: a block for each mutation, the newest first.

    Arguments:
        provenance: the provenance.
        name: what the mutant is called.
        page: how to format it.
    """
    count = len(provenance.generations)
    head = sentence(f"{name}: {words.plural(count + provenance.dropped, 'mutation')}", width=page.width)
    blocks = ["\n".join(page.paint(line, "bold") for line in head.splitlines())]
    for number, each in enumerate(provenance.generations, start=1):
        blocks.append("\n".join(_generation(number, each, number == count, provenance.dropped, page)))
    return "\n\n".join(blocks)


def _generation(number: int, generation: Generation, is_last: bool, dropped: int, page: Page) -> Iterator[str]:
    plan, indent = generation.plan, len(f"{number}  ")
    yield page.paint(f"{number}  {in_one_line(plan.name)}", "bold") + f"  plan {in_one_line(plan.digest[:_DIGITS])}"
    yield from _lines([f"seed {generation.seed}", *_pairs(generation.parameters)], page, indent)
    steps = generation.steps
    for step in steps[: page.most_rows]:
        op, name = (words.flow(step.get(key, "")) for key in ("op", "id"))
        others = {key: value for key, value in step.items() if key not in ("op", "id")}
        title = f"- {op}" if name in (op, '""') else f"- {op} [{name}]"
        parts = _pairs(others)
        yield from _lines([f"{title}  {parts[0]}", *parts[1:]] if parts else [title], page, indent)
    yield from page.more(len(steps), indent)
    for name, model in generation.inputs.items():
        yield from _lines([f"reads {name}: {_identity(model)}"], page, indent)
    versions = generation.versions
    keras = [f"Keras {versions.keras}"] if isinstance(versions.keras, str) else []
    facts = [f"mutspec {versions.mutspec}", f"plan language {versions.language}", f"streams {versions.stream}"]
    facts += [f"NumPy {versions.numpy}", *keras, f"written as {generation.kind}"]
    yield from (page.paint(line, "dim") for line in _lines(facts, page, indent))
    end = f", which {words.plural(dropped, 'older mutation')} made" if dropped else ", the base"
    yield from _lines([f"applied to {_identity(generation.parent)}{end if is_last else ''}"], page, indent)


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}: {words.flow(value)}" for key, value in values.items()]


def _lines(parts: list[str], page: Page, indent: int) -> list[str]:
    return paragraph([in_one_line(each) for each in parts], width=page.width, indent=indent).splitlines()


def _identity(model: ModelIdentity) -> str:
    return f"{model.digest[:_DIGITS]} (structure {model.structure[:_DIGITS]})"
