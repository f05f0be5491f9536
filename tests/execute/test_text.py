"""Reports and diffs as text: what is folded, collapsed and rounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import mutspec
from mutspec.show.diff import DiffReport, TensorDiff, TensorStatus, diff_text
from mutspec.show.layers import ConfigChange, LayerChange, StructureDiff
from mutspec.show.markdown import code, diff_markdown, escape, report_markdown
from mutspec.show.report import Report, StepReport, TargetReport, report_text
from mutspec.text import words
from mutspec.text.layout import Column, Paint, cells, fold, paragraph, table


def target(layer: str, *, touched: int = 3, changed: int | None = None) -> TargetReport:
    return TargetReport(layer, "kernel", (3, 4), "float32", 12, touched, changed)


def report(*steps: StepReport, output: str | None = None) -> Report:
    path = None if output is None else Path(output)
    return Report("mutspec 1", "plan", "d", 7, Path("model.keras"), "s", (), steps, 1200, 1200, path, 9)


LONG = "backbone/stage_3/block_11/attention_with_a_long_name/query_projection"


def test_long_tables_are_collapsed_and_say_how_many_rows_are_missing() -> None:
    step = StepReport("zero", "zero", tuple(target(f"dense_{number}") for number in range(154)))
    text = report_text(report(step), hint="--verbose shows all")
    assert "… and 134 more (--verbose shows all)" in text
    assert "dense_19/kernel" in text
    assert "dense_20/kernel" not in text
    assert "dense_153/kernel" in report_text(report(step), most_rows=None)
    assert "more" not in report_text(report(step), most_rows=None)


def test_a_long_path_is_folded_at_its_slashes_and_nothing_is_lost() -> None:
    step = StepReport("zero", "zero", (target(LONG),))
    for width in (80, 70, 60):
        text = report_text(report(step), width=width)
        assert max(map(cells, text.splitlines())) <= width
        lines = text[text.index("Weight") : text.index("Touches")].splitlines()[1:]
        assert "".join(line.split("  3×4")[0].strip() for line in lines) == f"{LONG}/kernel"


@pytest.mark.parametrize("width", range(1, 40))
def test_folding_keeps_every_character_and_the_width(width: int) -> None:
    for text in (LONG, "a", "", "層/層/層層層層層層層層", "BatchNormalization"):
        lines = fold(text, max(width, 5))
        assert "".join(line[2:] if number else line for number, line in enumerate(lines)) == text
        assert all(cells(line) <= max(width, 5) for line in lines)


def test_wide_characters_keep_columns_straight() -> None:
    text = table([Column("a"), Column("b")], [["層層", "1"], ["xx", "2"]], width=80, paint=Paint(False))
    assert [cells(line[: line.index(mark)]) for line, mark in zip(text.splitlines(), "b12", strict=True)] == [6, 6, 6]


def test_colours_change_no_character() -> None:
    step = StepReport("a", "zero", (target("dense"), target(LONG)), {"target": "dense", "count": 3})
    plain, styled = report_text(report(step), width=60), report_text(report(step), width=60, styled=True)
    for code_of_style in ("\x1b[0m", "\x1b[1m", "\x1b[2m"):
        styled = styled.replace(code_of_style, "")
    assert styled == plain


def test_paragraphs_break_between_their_parts() -> None:
    text = paragraph(["target: {type: Dense}", "std: 0.1", "fraction: 1%"], width=32, indent=3)
    assert text == "   target: {type: Dense},\n   std: 0.1, fraction: 1%"


def test_what_several_steps_touch_counts_once_and_is_a_bound_where_they_may_overlap() -> None:
    whole = StepReport("a", "zero", (target("dense", touched=12),))
    some = StepReport("b", "zero", (target("dense"), target("other")))
    assert "Touches 15 of 1,200 entries (1.2%), in 2 weights." in report_text(report(whole, some))
    again = StepReport("c", "zero", (target("other"),))
    assert "Touches at most 6 of 1,200 entries" in report_text(report(again, again))


def test_an_application_says_what_changed_and_where_it_went() -> None:
    step = StepReport("zero", "zero", (target("dense", changed=2),))
    text = report_text(report(step, output="out.keras"))
    assert "Changed" in text
    assert text.endswith("Wrote out.keras")
    assert report_text(report(StepReport("zero", "zero", ()))).endswith("Nothing was written.")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 5, "0%"),
        (5, 5, "100%"),
        (1, 10**9, "<0.01%"),
        (10**9 - 1, 10**9, ">99.9%"),
        (1, 200, "0.50%"),
        (1, 3, "33.3%"),
    ],
)
def test_a_share_never_rounds_to_nothing_or_to_all(part: int, whole: int, text: str) -> None:
    assert words.share(part, whole) == text


def test_a_cosine_below_one_never_reads_one() -> None:
    assert [words.cosine(value) for value in (1.0, 1 - 1e-9, -1 + 1e-9, None)] == [
        "1.000000",
        "0.999999",
        "-0.999999",
        "–",
    ]


@pytest.mark.parametrize(
    "value", ["dense_1", "1%", "on", "a: b", "*_conv", "re:conv_.*", "true", "", "über", "1", "{x}", "-"]
)
def test_a_value_is_written_as_yaml_would_read_it_again(value: str) -> None:
    import yaml

    assert yaml.safe_load(f"{{key: {words.flow(value)}}}") == {"key": value}


def tensor(**named: object) -> TensorDiff:
    values = {
        "status": TensorStatus.CHANGED,
        "changed": 2,
        "l2": 1.0,
        "relative_l2": 0.5,
        "max_abs": 0.25,
        "cosine": 0.9,
    }
    shape = (3, 4)
    return TensorDiff(
        "dense",
        "kernel",
        **{
            "shape": shape,
            "dtype": "float32",
            "shape_before": shape,
            "dtype_before": "float32",
            "elements": 12,
            "non_finite": 0,
            **values,
            **named,
        },
    )  # type: ignore[arg-type]


def test_a_diff_says_of_a_reshaped_or_retyped_weight_what_it_was() -> None:
    reshaped = tensor(
        status=TensorStatus.RESHAPED, shape_before=(3, 2), changed=None, relative_l2=None, max_abs=None, cosine=None
    )
    retyped = tensor(dtype_before="float16")
    text = diff_text(DiffReport(StructureDiff(), (reshaped, retyped), 24), width=140)
    assert "3×2 → 3×4" in text
    assert "(float16 → float32)" in text


def test_a_diff_marks_layers_and_says_what_changed_in_them() -> None:
    change = LayerChange(
        "dense", "Dense", "Dense", (ConfigChange("units", 3, 4), ConfigChange("name", None, "x|y")), calls=True
    )
    report = DiffReport(StructureDiff(changed=(change,), ports=("outputs",)), (), 5)
    text = diff_text(report, before="a.keras", after="b.keras")
    assert text.startswith("--- a.keras\n+++ b.keras")
    assert '~ dense (Dense): units 3 → 4, name null → "x|y", other inputs' in text
    assert "~ the model's outputs" in text
    assert "All 5 entries are the same." in text
    assert 'name null → "x\\|y"' in diff_markdown(report)


def test_markdown_folds_long_tables_and_keeps_pipes_out_of_cells() -> None:
    step = StepReport("zero", "zero", tuple(target(f"dense|{number}") for number in range(30)))
    text = report_markdown(report(step))
    assert "<details><summary>30 rows</summary>" in text
    assert "| <code>dense&#124;29&#47;kernel</code> | 3×4 |" in text
    assert code("a`b") == "<code>a&#96;b</code>"


READ = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize(
    "text",
    [
        *("# a", "- a", "+ a", "1. a", "> a", "a_b_c *d* ~~e~~ __f__", "[a](b) ![c](d)", "<b>&lt;</b>", "a | b \\| c"),
        *("https://a.b/c", "www.a.b", "@user and #12", "C:\\new\\", "`", "a`b"),
    ],
)
def test_text_means_nothing_to_markdown(text: str) -> None:
    for written in (escape(text), f"| a |\n|--|\n| {escape(text)} |", f"- {escape(text)}"):
        inline = [token for token in READ.parse(written) if token.type == "inline"][-1]
        seen = [(each.type, each.content) for each in inline.children or []]
        assert {kind for kind, _ in seen} <= {"text", "text_special", "html_inline"}
        assert "".join(content for kind, content in seen if kind != "html_inline") == text


def test_code_in_text_stays_code() -> None:
    assert escape("* `x_y` & `a|b` <i>") == "\\* `x_y` &amp; <code>a&#124;b</code> &lt;i>"


@pytest.mark.parametrize(("text", "broken"), [("@user", "@user"), ("see #12", "#12"), ("https://a.b", "https://a")])
def test_github_finds_nobody_to_call_and_nothing_to_link(text: str, broken: str) -> None:
    assert broken not in escape(text)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"op": "rename_layer", "target": "re:conv.*", "to": "a_{name}"}], "Renames 2 layers, rewires 2 layers."),
        (
            [
                {"op": "rename_layer", "target": "logits", "to": "old"},
                {"op": "rename_layer", "id": "again", "target": "old", "to": "head"},
                {"op": "insert_layer", "after": "head", "layer": {"type": "Softmax", "name": "softmax"}},
            ],
            "Adds 1 layer, renames 1 layer, changes the model's outputs.",
        ),
        (
            [
                {"op": "nest_layers", "target": {"between": ["conv_1", "conv_2"]}, "name": "trunk"},
                {"op": "rename_layer", "target": "trunk", "to": "body"},
            ],
            "Adds 2 layers, renames 4 layers, rewires 1 layer.",
        ),
        ([{"op": "remove_layer", "target": "dropout"}], "Removes 1 layer, rewires 1 layer."),
        ([{"op": "configure_layer", "target": "conv_1", "set": {"activation": "tanh"}}], "Changes 1 layer."),
    ],
)
def test_a_report_ends_with_what_happens_to_layers(steps: list[dict[str, object]], said: str) -> None:
    dry = mutspec.dry_run(mutspec.plan({"steps": steps}), Path(__file__).parents[2] / "conf" / "model" / "digits.keras")
    assert said in report_text(dry, width=120)


def test_reports_print_as_text() -> None:
    step = StepReport("zero", "zero", (target("dense"),))
    assert str(report(step)) == report_text(report(step))
    assert str(DiffReport(StructureDiff(), (), 5)) == "Identical, in structure and in 5 entries."


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (3_857_973_248, 1_928_986_624, "3.86 G → 1.93 G (−50%)"),
        (3_857_973_248, 3_857_000_000, "3,857,973,248 → 3,857,000,000 (−0.0252%)"),
        (999_999, 999_500_000, "999,999 → 1.00 G (× 1,000)"),
        (100, 300, "100 → 300 (+200%)"),
        (0, 300, "0 → 300"),
        (300, 0, "300 → 0 (−100%)"),
    ],
)
def test_a_change_of_large_numbers_says_how_large_it_is(before: int, after: int, text: str) -> None:
    assert words.from_to(before, after) == text
