"""The units of a plan's numbers, as charts write them."""

from __future__ import annotations

from typing import Any

import pytest

import mutspec
from mutspec.experiment.axis_units import units
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.sweep_chart import sweep_chart
from mutspec.experiment.result import Breaking
from tests.experiment.made_up import result, row, sweep

NOISE: dict[str, Any] = {"op": "gaussian_noise", "target": "dense", "std": "${params.std}"}


def of(step: dict[str, Any], **params: Any) -> dict[str, str]:
    return units(mutspec.plan({"params": params or {"std": 0.1}, "steps": [step]}))


@pytest.mark.parametrize(
    ("more", "unit"),
    [
        ({}, "absolute"),
        ({"relative_to": "absolute"}, "absolute"),
        ({"relative_to": "std"}, "× std of the weight"),
        ({"relative_to": "weight"}, "× the weight"),
        ({"relative_to": "max_abs"}, "× largest |weight|"),
        ({"relative_to": "channel_max"}, "× largest |weight| of the channel"),
        ({"mode": "multiply"}, "× the weight"),
    ],
)
def test_a_size_of_noise_is_in_the_unit_that_its_step_names(more: dict[str, Any], unit: str) -> None:
    assert of({**NOISE, **more}) == {
        "params.std": unit,
        "plan.steps.gaussian_noise.std": unit,
        **{f"plan.steps.gaussian_noise.{key}": each for key, each in AMOUNTS.items()},
    }


AMOUNTS = {"fraction": "%", "rate": "probability"}


def test_the_unit_of_a_parameter_is_that_of_the_key_that_it_stands_for() -> None:
    assert of({"op": "zero", "target": "dense", "fraction": "${params.part}"}, part=0.01)["params.part"] == "%"
    step = {"op": "bit_flip", "target": "dense", "rate_per_bit": "${params.rate}"}
    assert of(step, rate=1e-5)["params.rate"] == "probability per bit"
    assert of({"op": "shift", "target": "dense", "by": "${params.by}"}, by=1.0)["params.by"] == "absolute"


def test_a_parameter_within_values_by_target_has_their_unit() -> None:
    by_target = [{"target": "dense_1", "value": "${params.std}"}, {"value": 0.1}]
    assert of({**NOISE, "std": by_target, "relative_to": "std"})["params.std"] == "× std of the weight"


def test_a_parameter_of_two_units_has_none() -> None:
    steps = [NOISE, {**NOISE, "id": "other", "relative_to": "std"}]
    found = units(mutspec.plan({"params": {"std": 0.1}, "steps": steps}))
    assert "params.std" not in found
    assert found["plan.steps.other.std"] == "× std of the weight"


# On axes


def test_the_axis_of_a_sweep_says_the_unit_of_what_it_is_over() -> None:
    chart = sweep_chart(summarise(sweep(units={"params.std": "× std of the weight"})))
    assert chart is not None
    assert chart.x.label == "std, × std of the weight (log scale)"


def test_a_fraction_is_in_percent_however_it_is_written() -> None:
    results = [result(n, [], [row(0, f)], {"f": f}, units={"params.f": "%"}) for n, f in enumerate((0.001, 0.01, 0.1))]
    chart = sweep_chart(summarise(results))
    assert chart is not None
    assert [tick.text for tick in chart.x.ticks] == ["0.1%", "1%", "10%"]
    assert chart.x.label == "f (log scale)"


def test_jobs_whose_units_differ_have_none_on_their_axis() -> None:
    results = [
        result(n, [], [row(0, x)], {"std": x, "relative_to": unit}, units={"params.std": unit})
        for n, (x, unit) in enumerate((x, unit) for unit in ("absolute", "× the weight") for x in (0.1, 0.2, 0.4))
    ]
    chart = sweep_chart(summarise(results))
    assert chart is not None
    assert chart.x.label == "std"


def test_a_breaking_point_is_in_the_unit_of_what_was_scaled() -> None:
    meaning = Breaking("params.std", "accuracy", {"max_drop": 0.1}, 0.01)
    found = [row(seed, breaking_point=0.5 + seed, holds_at=0.4) for seed in range(2)]
    results = [
        result(
            n, [f"plan.params.layer={n}"], found, {"layer": f"l{n}"}, breaking=meaning, units={"params.std": "absolute"}
        )
        for n in range(2)
    ]
    chart = sweep_chart(summarise(results, "breaking_point"))
    assert chart is not None
    assert chart.x.label == "Breaking point, params.std (absolute)"


def test_units_survive_the_file_and_older_results_have_none(tmp_path: Any) -> None:
    from mutspec.experiment.result import read

    path = result(units={"params.std": "absolute"}).write(tmp_path)
    assert read(path).units == {"params.std": "absolute"}
    path.write_text(path.read_text().replace('"units": {\n    "params.std": "absolute"\n  },\n', ""))
    assert read(path).units == {}
