"""The page: its head, its sections, and the style and script that are in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from mutspec.experiment.reports.charts import Section
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.breaking_section import breaking_points
from mutspec.experiment.reports.page.chart import charts
from mutspec.experiment.reports.page.cost_section import cost
from mutspec.experiment.reports.page.fidelity_section import fidelity
from mutspec.experiment.reports.page.markup import Markup, element, empty, join
from mutspec.experiment.reports.page.mutants_section import mutants
from mutspec.experiment.reports.page.optimisation_section import optimisation
from mutspec.experiment.reports.page.origin_section import origin
from mutspec.experiment.reports.page.outcome_section import failures, gates, groups, opening, warned
from mutspec.experiment.reports.page.sensitivity_section import sensitivity
from mutspec.experiment.reports.table import title


def web_page(summary: Summary, *, warnings: Sequence[str] = (), facet: str | None = None) -> bytes:
    """The report of a sweep as one HTML file, the same for the same results.

    Arguments:
        summary: the sweep by what varies.
        warnings: what the reader should know, one sentence each.
        facet: the setting whose values have a panel of the chart each; None to choose.

    Raises:
        CallError: no such setting varies between what would share a panel.
    """
    style, script = _asset("page.css"), _asset("page.js")
    heading = title(summary) or "No plan"
    sections: list[tuple[Section, str, Markup]] = [
        ("results", "Results", groups(summary)),
        ("cost", "Cost", cost(summary)),
        ("optimisation", "Optimisation", optimisation(summary)),
        ("breaking", "Breaking points", breaking_points(summary)),
        ("sensitivity", "Sensitivity", sensitivity(summary)),
        ("gates", "Gates", gates(summary)),
        ("failed", "Failed jobs", failures(summary)),
        ("fidelity", "Fidelity to the base model", fidelity(summary)),
        ("mutants", "Mutants", mutants(summary)),
        ("origin", "How it was made", origin(summary)),
    ]
    drawn = [(name, said, join([charts(name, summary, facet), content])) for name, said, content in sections]
    shown = [(name, said, content) for name, said, content in drawn if content]
    links = (element("li", element("a", said, href=f"#{name}")) for name, said, _ in shown)
    head = join(
        [
            empty("meta", charset="utf-8"),
            _policy(script),
            empty("meta", name="viewport", content="width=device-width, initial-scale=1"),
            empty("meta", name="color-scheme", content="light dark"),
            empty("link", rel="icon", href="data:,"),  # else a browser asks the server that shows the page for one
            element("title", f"{heading} · mutspec"),
            element("style", style),
        ]
    )
    body = join(
        [
            element("header", opening(summary, heading), element("nav", element("ul", *links), aria_label="Sections")),
            element("main", warned(warnings), *(_section(*section) for section in shown)),
            element("footer", element("p", f"Made by {_engines(summary)} from the results of its jobs.")),
            element("script", script),
        ]
    )
    page = f"<!doctype html>\n<html lang=en>\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    return page.encode("utf-8", errors="backslashreplace")


def _asset(name: str) -> Markup:
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _policy(script: str) -> Markup:
    """Even if a name became markup, nothing would be fetched, and no script but ours would run."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return empty("meta", http_equiv="Content-Security-Policy", content=rules)


def _section(name: str, said: str, content: Markup) -> Markup:
    return join(["\n", element("section", element("h2", said), content, id=name)])


def _engines(summary: Summary) -> str:
    return ", ".join(dict.fromkeys(result.engine for result in summary.results))
