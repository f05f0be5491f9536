"""report.html: that it says what the results say, to everyone, and fetches nothing."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mutspec.experiment.gates import Verdict
from mutspec.experiment.reports.colours import PALETTE, ramp
from mutspec.experiment.reports.facets import MOST_ASKED, MOST_TOGETHER
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.page.chart import WIDTH
from mutspec.experiment.reports.report import make_report
from mutspec.experiment.reports.sweep_chart import sweep_chart
from mutspec.experiment.result import Result
from tests.experiment.made_up import (
    BASE,
    LAYERS,
    RECIPES,
    categories,
    failed,
    layers,
    replace,
    result,
    row,
    several_plans,
    sweep,
    write,
)
from tests.experiment.read_html import Page

EVIL = "</title><script>alert(1)</script>\"'&\x1b[31m\u202e"
ERROR = "plan.yaml:4:10: `std` must be at least 0\n  4 | std: -1"


def html(results: list[Result], **options: str) -> str:
    return web_page(summarise(results, **options)).decode()


def page(results: list[Result], **options: str) -> Page:
    return Page(html(results, **options))


def number(text: str) -> float:
    text = text.replace(",", "")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def gated(results: list[Result], limit: float = 0.05) -> list[Result]:
    return [
        replace(
            each,
            gates=tuple(
                Verdict("accuracy", "max_drop", limit, one.drop["accuracy"], one.seed, one.drop["accuracy"] <= limit)
                for one in each.rows
            ),
        )
        for each in results
    ]


# What it says


def test_every_mutant_is_a_row_with_the_numbers_of_its_result() -> None:
    results = several_plans({"conv_noise": 0.4, "dense_noise": 1.0})
    table = page(results).table("All mutants")
    pairs = [(each, one) for each in results for one in each.rows]
    assert table.column("plan") == [each.plan.name for each, _ in pairs]
    for name, expected in {
        "Job": [each.job.number for each, _ in pairs],
        "std": [each.parameters["std"] for each, _ in pairs],
        "Seed": [one.seed for _, one in pairs],
        "Accuracy": [one.metrics["accuracy"] for _, one in pairs],
        "Drop, points": [100 * one.drop["accuracy"] for _, one in pairs],
        "Loss": [one.metrics["loss"] for _, one in pairs],
        "Agreement": [one.agreement for _, one in pairs],
        "Touched": [one.touched for _, one in pairs],
        "Changed": [one.changed for _, one in pairs],
        "Seconds": [one.seconds for _, one in pairs],
    }.items():
        tolerance = 0.0501 if name == "Drop, points" else 0.00051
        assert list(map(number, table.column(name))) == pytest.approx(expected, abs=tolerance), name


def test_groups_are_the_means_with_their_intervals_and_the_base_stands_first() -> None:
    summary = summarise(sweep())
    table = Page(web_page(summary).decode()).table("Means over the seeds")
    assert number(table.column("Accuracy")[0]) == pytest.approx(BASE["accuracy"], abs=0.0005)
    means, halves = table.column("Accuracy")[1:], table.column("±")[1:]
    assert list(map(number, means)) == pytest.approx([each.metric.mean for each in summary.groups], abs=0.0005)
    assert list(map(number, halves)) == pytest.approx([each.metric.half_width for each in summary.groups], abs=0.0005)


def test_gates_say_how_many_hold_and_by_how_much_the_others_miss() -> None:
    results = gated(sweep())
    shown = page(results)
    refused = [verdict for each in results for verdict in each.failed_gates]
    assert shown.table("What is required").rows[0] == [
        "Accuracy may fall by at most 0.05",
        f"{25 - len(refused)} of 25 jobs",
        "fails",
    ]
    missed = [number(each) for each in shown.table("Gates that failed").column("Missed by")]
    assert missed == pytest.approx([verdict.value - verdict.limit for verdict in refused], rel=1e-3)


def test_failed_jobs_are_there_with_all_that_they_said() -> None:
    shown = page([*sweep(), failed(25, ["plan.params.std=-1"], ERROR)])
    assert shown.table("Jobs that failed").rows[0][:2] == ["25", "plan.params.std=-1"]
    assert ERROR in shown.said("pre")
    assert shown.table("All mutants").rows[-1][-1] == ERROR.splitlines()[0]


def test_flips_are_means_over_the_seeds_by_the_bases_class() -> None:
    flips = [{"cat": 4, "dog": 0}, {"cat": 1, "dog": 2}]
    rows = [row(seed, flips=each, divergence=0.5, deviation=0.25) for seed, each in enumerate(flips)]
    shown = page([result(rows=rows)])
    (table,) = (each for each in shown.tables if "outputs" in each.caption)
    assert table.head == ["", "Agreement", "Divergence", "Deviation", "cat", "dog"]
    assert table.rows[0][2:] == ["0.5", "0.25", "2.5", "1"]


def test_plans_are_there_with_their_parameters_and_every_digest() -> None:
    results = [replace(each, plan_digest=f"digest{each.parameters['std']}") for each in sweep()]
    shown = page(results)
    table = shown.table("Digests of dense_noise, resolved")
    assert Counter(map(tuple, table.rows)) == Counter((f"{std}", f"digest{std}", "5") for std in (0.03, 0.1, 0.3, 1, 3))
    assert "0.03, 0.1, 0.3, 1, 3" in shown.said("dd")
    assert {"mutspec 0.1.0", "51b8d6f3c7a09e42"} <= set(shown.said("span", "code"))
    assert "python 3.11.7, platform Linux x86_64, numpy 2.4.6, keras 3.15.1" in shown.said("span")


def test_marks_of_the_picture_tell_their_seeds() -> None:
    titles = [text for name, text in page(sweep()).texts if name == "title" and "seed" in text]
    assert len(titles) == 5
    assert titles[0].splitlines()[:3] == ["std = 0.03", "mean 97.2% ± 0.0%", "seed 0: 97.2%"]


def coordinates(path: str | None) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path or "")]


def drawn(shown: Page, kind: str) -> list[list[tuple[float, float]]]:
    """The points of each path of a kind."""
    return [
        coordinates(given.get("d"))
        for name, given in shown.elements
        if name == "path" and kind in (given.get("class") or "").split()
    ]


def test_dots_are_where_the_ticks_of_the_axes_say() -> None:
    results = sweep()
    shown = page(results)
    texts = [given for name, given in shown.elements if name == "text"]
    places = {
        text: (float(at.get("x") or 0), float(at.get("y") or 0))
        for text, at in zip(shown.said("text"), texts, strict=True)
    }
    across = (places["3"][0] - places["0.03"][0]) / 2  # two decades
    up = (places["100%"][1] - places["0%"][1]) / 1
    for dots, scale in zip(drawn(shown, "dots"), (0.03, 0.1, 0.3, 1, 3), strict=True):
        measured = [each.rows[0].metrics["accuracy"] for each in results if each.parameters["std"] == scale]
        for (x, y), value in zip(dots, measured, strict=True):
            assert x == pytest.approx(places["0.03"][0] + across * math.log10(scale / 0.03), abs=0.2)
            assert y + 4.5 == pytest.approx(places["0%"][1] + up * value, abs=0.2)


def test_marks_are_clipped_to_their_panels_so_that_none_lies_on_words() -> None:
    """Two seeds have an interval that is wider than the picture."""
    wild = [replace(each, rows=(row(0, 0.1), row(1, 3))) for each in categories({"a": 1.0, "b": 1.0})]
    shown = page(wild)
    frames = [given for name, given in shown.elements if name == "rect"]
    clips = [given["clip-path"] for name, given in shown.elements if name == "g" and "clip-path" in given]
    names = [given["id"] for name, given in shown.elements if name == "clippath"]
    assert clips == [f"url(#{name})" for name in names]
    assert len(frames) == len(clips) == 1
    left, width = float(frames[0]["x"] or 0), float(frames[0]["width"] or 0)
    ticks = [float(at["x"] or 0) for name, at in shown.elements if name == "text" and at.get("class") == "end"]
    assert len(ticks) == 2
    assert max(ticks) < left
    assert left + width <= WIDTH
    reach = [x for path in drawn(shown, "interval") for x, _ in path]
    assert min(reach) < left or max(reach) > left + width


def test_the_page_and_the_picture_have_the_same_panels_and_strokes() -> None:
    results = layers({f"conv_{n}": 0.5 + n for n in range(6)})
    chart = sweep_chart(summarise(results))
    assert chart is not None
    shown = page(results)
    assert [text for text in shown.said("text") if text.startswith("conv_")] == [each.title for each in chart.panels]
    for kind in ("mean", "interval", "context", "base"):
        assert len(drawn(shown, kind)) == sum(len(panel.paths(kind)) for panel in chart.panels)
    assert sum(map(len, drawn(shown, "dots"))) == sum(len(panel.dots) for panel in chart.panels)


@pytest.mark.parametrize("average", [["layer"], ["none"], []])
def test_every_mutant_has_its_settings_whatever_is_averaged(average: list[str]) -> None:
    results = layers({"a": 0.5, "b": 1.0}, (0.1, 1), seeds=2)
    table = Page(web_page(summarise(results, average=average)).decode()).table("All mutants")
    assert table.head[:4] == ["Job", "layer", "std", "Seed"]
    assert table.column("layer") == ["a"] * 4 + ["b"] * 4
    assert table.column("Seed") == ["0", "1"] * 4


def test_headings_are_in_plain_words() -> None:
    flips = [row(seed, flips={"cat": 4}, divergence=0.5) for seed in range(2)]
    assert "Fidelity to the base model" in page([result(rows=flips)]).said("h2")


def test_dots_are_small_where_many_are_drawn_and_not_where_many_are_left_out() -> None:
    def is_dense(results: list[Result]) -> bool:
        return any(name == "svg" and given.get("class") == "many" for name, given in page(results).elements)

    assert is_dense(sweep([n / 100 for n in range(1, 71)]))
    assert not is_dense(layers({f"conv_{n}": 1 + n for n in range(60)}, (0.5, 1), seeds=3))


@pytest.mark.parametrize(
    "results",
    [
        sweep(),
        categories(RECIPES),
        several_plans({f"plan_{index}": 0.1 * index + 0.1 for index in range(12)}),
        sweep((0, 0.01, 0.1, 1)),
        sweep((1, 2), seeds=1),
        [result(rows=[row(0, metrics={"loss": float("nan")}, drop={})], base={"loss": 0.1}, objective="loss")],
        [*sweep()[:-1], result(24, ["plan.params.std=3"], [row(4, metrics={"accuracy": float("nan")})], {"std": 3})],
        [result(rows=[row(0, metrics={}, drop={}, agreement=None, changed=None)], base={}, samples=0, objective="")],
        [failed(0, ["plan=a"], "boom")],
        [result(rows=[row(0, metrics={"loss": 10.0**power}) for power in range(6)], objective="loss")],
        layers(LAYERS),
    ],
    ids=[
        "curve",
        "categories",
        "many lines",
        "with 0",
        "one seed",
        "nan",
        "some nan",
        "dry run",
        "failed",
        "log",
        "layers",
    ],
)
def test_whatever_was_found_is_a_page(results: list[Result]) -> None:
    shown = page(results)
    assert [name for name, _ in shown.elements[:2]] == ["html", "head"]
    coordinates = " ".join(given.get("d") or "" for name, given in shown.elements if name == "path")
    assert not re.search("nan|inf|e[+-]", coordinates)


def test_it_is_the_same_when_it_is_made_again_and_has_no_date() -> None:
    assert html(sweep()) == html(sweep())
    assert not re.search(r"\b20\d\d-\d\d", html(sweep()))


# To whom


def test_it_has_language_title_viewport_and_one_heading_of_the_first_order() -> None:
    shown = page(sweep())
    assert ("html", {"lang": "en"}) in shown.elements
    assert shown.said("title")[0] == "dense_noise on digits.keras · mutspec"
    assert any(given.get("name") == "viewport" for name, given in shown.elements if name == "meta")
    assert Counter(name for name, _ in shown.elements)["h1"] == 1


def test_every_table_has_a_caption_and_heads_of_columns_and_whole_rows() -> None:
    for table in (*page(gated(sweep())).tables, *page(layers(LAYERS)).tables):
        assert table.caption
        assert {len(each) for each in table.rows} == {len(table.head)}
    shown = page(sweep())
    assert all(given.get("scope") == "col" for name, given in shown.elements if name == "th")
    links = {given["href"] for name, given in shown.elements if name == "a"}
    assert links == {f"#{given['id']}" for name, given in shown.elements if name == "section"}


def test_without_javascript_nothing_looks_as_if_it_did_something() -> None:
    shown = page(sweep())
    assert shown.table("All mutants").attributes["class"] == "sortable"
    assert not {"button", "input", "form"} & {name for name, _ in shown.elements}


def test_it_has_a_light_a_dark_and_a_printed_form() -> None:
    style = html(sweep())
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@media print" in style
    assert ":focus-visible" in style


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def schemes() -> list[dict[str, str]]:
    """The colours of the light and of the dark page."""
    return [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", html(sweep()), re.S)
    ][:2]


def test_texts_have_the_contrast_that_wcag_asks_for_in_both_schemes() -> None:
    for colours in schemes():
        for ink in ("ink", "quiet", "accent", "good", "bad"):
            assert contrast(colours[ink], colours["page"]) >= 4.5, ink
            assert contrast(colours[ink], colours["raised"]) >= 4.5, ink
        assert contrast(colours["ink"], colours["note-ground"]) >= 4.5
        assert contrast(colours["strong-rule"], colours["page"]) >= 3


def test_the_darkest_shade_of_flips_leaves_its_number_readable() -> None:
    style = html(sweep())
    heats = re.findall(r"--heat: (\d+), (\d+), (\d+)", style)
    opacity = max(float(each) for each in re.findall(r"rgba\(var\(--heat\), ([\d.]+)\)", style))
    for colours, heat in zip(schemes(), heats, strict=True):
        paper = [int(colours["page"][at : at + 2], 16) for at in (1, 3, 5)]
        mixed = [round(opacity * int(one) + (1 - opacity) * other) for one, other in zip(heat, paper, strict=True)]
        assert contrast(colours["ink"], "#" + "".join(f"{each:02x}" for each in mixed)) >= 4.5


def test_lines_have_the_contrast_that_wcag_asks_of_graphics() -> None:
    light, dark = (colours["page"] for colours in schemes())
    for colour in (*PALETTE, *ramp(8)):
        assert contrast(colour.light, light) >= 3
        assert contrast(colour.dark, dark) >= 3


SEEN = {
    # Machado, Oliveira and Fernandes (2009), severity 1.0: linear RGB as people without a kind of cone see it.
    "all": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
}


def lab(colour: str, seen: list[list[float]]) -> np.ndarray:
    """A colour in CIELAB, as people see it."""
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_people_tell_the_lines_of_a_panel_apart_whatever_cones_they_have(scheme: str) -> None:
    for kind, seen in SEEN.items():
        colours = [lab(getattr(colour, scheme), seen) for colour in PALETTE[:MOST_TOGETHER]]
        assert min(np.linalg.norm(one - other) for one, other in combinations(colours, 2)) > 12, kind
    every = [lab(getattr(colour, scheme), SEEN["all"]) for colour in PALETTE[:MOST_ASKED]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(every, 2)) > 12


# Nothing from outside, and nothing gets in


def test_it_fetches_nothing() -> None:
    text = html(gated(sweep()))
    assert not re.search(r"https?:|//|@import|url\((?!#)", text)
    shown = Page(text)
    assert not {"img", "iframe", "object", "embed", "audio", "video"} & {name for name, _ in shown.elements}
    assert all("src" not in given for _, given in shown.elements)
    assert {given["href"] for name, given in shown.elements if name == "link"} == {"data:,"}
    (policy,) = (given["content"] for _, given in shown.elements if "http-equiv" in given)
    assert (policy or "").startswith("default-src 'none';")


def test_what_users_name_stays_text() -> None:
    harmless = Counter(name for name, _ in page(gated(sweep())).elements)
    results = [
        replace(
            each,
            plan_name=EVIL,
            model=f"{EVIL}.keras",
            data=EVIL,
            engine=EVIL,
            parameters={"std": each.parameters["std"], EVIL: EVIL},
            plan_digest=EVIL,
            structure_digest=EVIL,
            rows=tuple(replace(one, flips={EVIL: 3}) for one in each.rows),
        )
        for each in gated(sweep())
    ]
    text = web_page(summarise([*results, failed(25, [f"plan={EVIL}"], f"{EVIL}\n{EVIL}")]), warnings=[EVIL]).decode()
    shown = Page(text)
    assert Counter(name for name, _ in shown.elements)["script"] == harmless["script"] == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert any("<script>alert(1)</script>" in each for each in shown.said("h1"))
    assert not {each for _, given in shown.elements for each in given if each.startswith("on")}


def test_a_name_that_is_not_unicode_is_written_out() -> None:
    assert b"\\udcff" in web_page(summarise([result(plan_name="a\udcff")]))


# Of a size


def test_a_thousand_jobs_of_five_seeds_are_small_enough_to_mail() -> None:
    results = [
        result(
            index,
            [f"plan.params.std={index / 1000}"],
            [row(seed, index / 1000) for seed in range(5)],
            {"std": index / 1000},
        )
        for index in range(1, 1001)
    ]
    text = html(results)
    assert len(Page(text).table("All mutants").rows) == 5000
    assert len(text.encode()) < 3_000_000


# In a browser


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; where `.ci/run` could install it, no test goes without."""
    found = shutil.which("chromium")
    if found is None and os.environ.get("MUTSPEC_BROWSER") == "required":
        pytest.fail("MUTSPEC_BROWSER=required, and there is no chromium")
    return found or pytest.skip("needs Chromium")


def in_browser(chromium: str, file: Path, profile: Path) -> tuple[str, str]:
    """The page's elements once its script has run, and what the browser logged."""
    options = "headless no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync"
    flags = [f"--{each}" for each in (*options.split(" "), "enable-logging=stderr", "virtual-time-budget=3000")]
    command = [chromium, *flags, "--dump-dom", f"--user-data-dir={profile}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, done.stderr


def test_a_browser_shows_rows_and_makes_heads_to_sort_by_and_has_nothing_to_complain(
    chromium: str, tmp_path: Path
) -> None:
    make_report(write(gated(sweep()), tmp_path / "sweep"))
    dom, log = in_browser(chromium, tmp_path / "sweep" / "report.html", tmp_path / "profile")
    assert "CONSOLE" not in log
    shown = Page(dom)
    assert len(shown.table("All mutants").rows) == 25
    heads = [given.get("aria-sort") for name, given in shown.elements if name == "th"]
    assert heads.count("none") == len(shown.table("All mutants").head)
    assert Counter(name for name, _ in shown.elements)["button"] == heads.count("none")
    assert "25 rows" in shown.said("output")


CLICKS = """
const table = document.querySelector(".sortable");
const head = [...table.tHead.rows[0].cells].find((each) => each.textContent === "Accuracy");
const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const column = () => shown().map((row) => row.cells[head.cellIndex].textContent);
const found = [];
head.firstChild.click();
found.push(head.ariaSort, ...column());
head.firstChild.click();
found.push(head.ariaSort, ...column());
const input = document.querySelector("input");
input.value = "failed nothing";
input.dispatchEvent(new Event("input"));
setTimeout(() => {
  const said = document.createElement("pre");
  said.textContent = "FOUND" + JSON.stringify([found, column(), document.querySelector("output").textContent]);
  document.body.append(said);
}, 300);
"""


def test_in_a_browser_rows_are_sorted_and_filtered(chromium: str, tmp_path: Path) -> None:
    results = [*sweep(), failed(25, ["plan.params.std=-1"], "it failed, nothing else")]
    text = html(results)
    # The page's policy lets no script but its own run, so it goes for the test.
    text = re.sub("<meta http-equiv=[^>]*>", "", text).replace("</body>", f"<script>{CLICKS}</script></body>")
    file = tmp_path / "clicked.html"
    file.write_text(text)
    dom, log = in_browser(chromium, file, tmp_path / "profile")
    assert "CONSOLE" not in log
    (said,) = (each for each in Page(dom).said("pre") if each.startswith("FOUND"))
    found, left, count = json.loads(said.removeprefix("FOUND"))
    up, down = found[:27], found[27:]
    assert (up[0], down[0]) == ("ascending", "descending")
    assert (up[-1], down[-1]) == ("", "")  # what has no number is last, either way
    numbers = [number(each) for each in up[1:-1]]
    assert numbers == sorted(numbers)
    assert [number(each) for each in down[1:-1]] == sorted(numbers, reverse=True)
    assert (left, count) == ([""], "1 of 26 rows")


def test_in_a_browser_a_script_in_a_name_does_not_run(chromium: str, tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    file = tmp_path / "evil.html"
    file.write_bytes(web_page(summarise([replace(each, plan_name=evil) for each in sweep()]), warnings=[evil]))
    dom, log = in_browser(chromium, file, tmp_path / "profile")
    assert "CONSOLE" not in log
    assert Page(dom).said("title")[0] == f"{evil} on digits.keras · mutspec"
