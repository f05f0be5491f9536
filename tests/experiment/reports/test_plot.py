"""Pictures as they are drawn: where marks and words lie on the paper, and what the files hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations, pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mutspec.experiment.reports import charts
from mutspec.experiment.reports.charts import Picture
from mutspec.experiment.reports.figure import draw_chart
from mutspec.experiment.reports.groups import Summary, summarise
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.plot import NoMatplotlib, our_style, pictures
from mutspec.experiment.reports.sweep_chart import sweep_chart
from mutspec.experiment.result import Result
from tests.experiment.made_up import RECIPES, SCALES, categories, failed, layers, result, row, several_plans, sweep

ROOT = Path(__file__).parents[3]


def models(count: int = 3) -> list[Result]:
    jobs = product(("small", "large"), range(count), (0.1, 0.3, 1, 3))
    return [
        result(
            number,
            [f"model={model}"],
            [row(seed, std, half_at=1 + layer) for seed in range(3)],
            {"std": std, "layer": f"conv_{layer}"},
            model=f"models/{model}.keras",
        )
        for number, (model, layer, std) in enumerate(jobs)
    ]


LONG = "stage_{}/block_{}/attention/query"
SWEEPS = {
    "one layer": layers({"conv_1": 1.0}),
    "twelve layers": layers({f"conv_{n}": 0.2 + n for n in range(12)}, (0.1, 0.3, 1, 3)),
    "long names": layers({LONG.format(n // 3, n): 0.2 + n for n in range(12)}, (0.1, 1), seeds=2),
    "bits": [result(n, [], [row(s, 10 ** (n / 2 - 12)) for s in range(3)], {"bit": n}) for n in range(32)],
    "models": models(),
    "dense": sweep([0.01 * 1.15**n for n in range(40)], seeds=10),
    "one seed": sweep(seeds=1),
    "long plans": several_plans({f"a_plan_with_quite_a_long_name_{n}": 1.0 + n for n in range(4)}),
    "categories": categories(RECIPES),
    "single": [result()],
    "zero": sweep((0, *SCALES)),
    "flat": sweep((0.001, 0.0001)),
    "failed": [*sweep(), failed(25, ["plan.params.std=-1"], "boom")],
    "names": [result(n, [f"a={n}"], plan_name=f"_$\\alpha^{{ 层 \x1b {'long ' * 30}{n}") for n in range(2)],
}


@pytest.fixture(scope="module", params=SWEEPS)
def drawn(request: pytest.FixtureRequest) -> Figure:
    """A picture on which everything has its place."""
    chart = sweep_chart(summarise(SWEEPS[request.param]))
    assert chart is not None
    with our_style():
        figure = draw_chart(chart)
        figure.canvas.draw()
    return figure


def box(text: Text) -> Bbox:
    return text.get_window_extent()


def headings(figure: Figure) -> list[Text]:
    """Heading, notes and legend."""
    legend = [text for each in figure.legends for text in each.get_texts()]
    return [*figure.texts, *legend]


def tick_labels(axes: Axes, along: str) -> list[Text]:
    axis = axes.xaxis if along == "x" else axes.yaxis
    return [label for label in axis.get_ticklabels() if label.get_text()]


def labels(figure: Figure) -> list[Text]:
    """All words of a picture."""
    own = [text for axes in figure.axes for text in (*tick_labels(axes, "x"), *tick_labels(axes, "y"))]
    titles = [
        text
        for axes in figure.axes
        for text in (axes._left_title, axes.xaxis.label, axes.yaxis.label)  # type: ignore[attr-defined]
    ]
    shared = [text for text in (figure._supxlabel, figure._supylabel) if text is not None]  # type: ignore[attr-defined]
    every = {id(text): text for text in (*headings(figure), *own, *titles, *shared) if text.get_text()}
    return list(every.values())


def on_paper(figure: Figure) -> np.ndarray:
    """Where all points of all lines are, as far as their panels show them."""
    found = []
    for axes in figure.axes:
        frame = axes.get_window_extent()
        for line in axes.lines:
            places = axes.transData.transform(np.column_stack(line.get_data()))
            found += [(x, y) for x, y in places if frame.x0 <= x <= frame.x1 and frame.y0 <= y <= frame.y1]
    return np.array(found)


def test_no_words_lie_on_data(drawn: Figure) -> None:
    points = on_paper(drawn)
    assert len(points)
    for text in labels(drawn):
        at = box(text)
        inside = (at.x0 < points[:, 0]) & (points[:, 0] < at.x1) & (at.y0 < points[:, 1]) & (points[:, 1] < at.y1)
        assert not inside.any(), text.get_text()


def test_legend_and_words_are_outside_of_the_panels(drawn: Figure) -> None:
    for text, axes in product(labels(drawn), drawn.axes):
        frame = axes.get_window_extent()
        inner = Bbox.from_extents(frame.x0 + 1, frame.y0 + 1, frame.x1 - 1, frame.y1 - 1)
        assert not inner.overlaps(box(text)), text.get_text()


def test_no_words_lie_on_other_words(drawn: Figure) -> None:
    for one, other in combinations(labels(drawn), 2):
        first, second = box(one), box(other)
        overlap = Bbox.intersection(first, second)
        assert overlap is None or min(overlap.width, overlap.height) < 1.5, (one.get_text(), other.get_text())


def test_all_words_are_on_the_paper(drawn: Figure) -> None:
    width, height = drawn.canvas.get_width_height()
    for text in labels(drawn):
        at = box(text)
        assert at.x0 >= -1, text.get_text()
        assert at.y0 >= -1, text.get_text()
        assert at.x1 <= width + 1, text.get_text()
        assert at.y1 <= height + 1, text.get_text()


def test_ticks_stand_apart(drawn: Figure) -> None:
    for axes in drawn.axes:
        for left, right in pairwise(sorted(map(box, tick_labels(axes, "x")), key=lambda at: at.x0)):
            assert right.x0 - left.x1 > 3


@pytest.mark.parametrize(
    "names", [["conv_1", "conv_2", "dense_1", "logits"], ["_a", "b"], ["a_long_name_of_a_plan", "b", "c", "d"]]
)
def test_the_legend_reads_in_the_order_of_the_lines(names: list[str]) -> None:
    chart = sweep_chart(summarise(several_plans({name: 0.5 + n for n, name in enumerate(names)}, seeds=2)))
    assert chart is not None
    with our_style():
        figure = draw_chart(chart)
        figure.canvas.draw()
    texts = figure.legends[0].get_texts()
    read = sorted(texts, key=lambda text: (-round(box(text).y0), box(text).x0))
    assert [text.get_text().strip("\u200b") for text in read] == [*names, "base 97.2%"]


def test_a_single_panel_has_the_size_of_a_readme() -> None:
    png = pictures(summarise(sweep()))["plot.png"]
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width == 960
    assert 550 < height < 700


# Files


@pytest.mark.parametrize("name", ["one layer", "names"])
def test_a_picture_is_a_png_an_svg_and_a_pdf_the_same_every_time(name: str) -> None:
    first = pictures(summarise(SWEEPS[name]))
    assert list(first)[:3] == ["plot.png", "plot.svg", "plot.pdf"]
    assert first["plot.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert first["plot.svg"].startswith(b"<?xml")
    assert first["plot.pdf"].startswith(b"%PDF")
    assert b"<dc:date>" not in first["plot.svg"]
    assert b"CreationDate" not in first["plot.pdf"]
    assert first == pictures(summarise(SWEEPS[name]))


def test_text_in_an_svg_is_text() -> None:
    files = pictures(summarise(layers({f"conv_{n}": 0.2 + n for n in range(2)}, (0.1, 1))))
    said = {each.text for each in ElementTree.fromstring(files["plot.svg"]).iter("{http://www.w3.org/2000/svg}text")}
    assert {"weight_noise on digits.keras", "base 97.2%", "std", "100%", "conv_0", "conv_1"} <= said
    in_map = {each.text for each in ElementTree.fromstring(files["map.svg"]).iter("{http://www.w3.org/2000/svg}text")}
    assert {"weight_noise on digits.keras", "conv_1"} <= in_map


def test_a_pdf_embeds_its_font_as_one_that_can_be_searched() -> None:
    pdf = pictures(summarise(sweep()))["plot.pdf"]
    assert re.search(rb"/Subtype /(TrueType|CIDFontType2)", pdf)
    assert b"/Subtype /Type3" not in pdf


@pytest.fixture
def taste() -> Iterator[None]:
    """A user's settings for pictures of their own."""
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "axes.grid": True, "savefig.dpi": 20}):
        yield


def test_the_users_own_settings_neither_show_nor_change(taste: None) -> None:
    before = dict(matplotlib.rcParams)
    dark = pictures(summarise(sweep()))
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        assert pictures(summarise(sweep())) == dark


def test_there_is_no_picture_if_there_is_nothing_to_see() -> None:
    assert pictures(summarise([failed(0, [], "boom")])) == {}
    assert pictures(summarise([result(rows=[row(0, metrics={}, drop={}, agreement=None)], base={})])) == {}
    assert pictures(summarise([result(rows=[row(0, metrics={"accuracy": float("nan")})])])) == {}


def test_a_row_in_the_table_of_charts_makes_files_and_a_figure_in_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    def gallery(summary: Summary, facet: str | None) -> Iterator[Picture]:
        chart = sweep_chart(summary, facet)
        assert chart is not None
        yield Picture("mine", chart, "My picture")

    monkeypatch.setattr(charts, "CHARTS", (("gates", gallery),))
    summary = summarise(sweep())
    assert list(pictures(summary)) == ["mine.png", "mine.svg", "mine.pdf"]
    page = web_page(summary).decode()
    section = page[page.index('<section id="gates">') :]
    assert section.index("My picture") < section.index("<svg") < section.index("</section>")


def test_a_missing_matplotlib_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NoMatplotlib, match="Matplotlib") as caught:
        pictures(summarise(sweep()))
    assert "mutspec[plot]" in caught.value.problems[0].hint


def test_no_window_and_no_global_figure_is_touched() -> None:
    code = (
        "import sys; from tests.experiment.made_up import sweep\n"
        "from mutspec.experiment.reports.groups import summarise\n"
        "from mutspec.experiment.reports import plot; assert 'matplotlib' not in sys.modules\n"
        "plot.pictures(summarise(sweep())); print('matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert done.stdout == "False\n"
    assert done.stderr == ""
