"""Mistakes in structural steps: each gets its place, what is wrong and a remedy, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.structural_mistakes import MISTAKES
from tests.zoo import ZOO

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ROOT = Path(__file__).parents[2]

SAYS_IT_ITSELF = {
    "units below one",
    "same for a rate",
    "code",
    "a port",
    "a name with a slash",
    "a rate beyond all",
    "what to do with what cannot be folded",
    "a layer that is no more",
    "a name that is no more",
    "an empty block",
    "an argument that is not inherited",
    "rounding to nothing",
    "a measure that is not there",
    "units of a tensor",
}
"""Rows whose message says what would be right, so that there is nothing to add."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that the mistakes are made on."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(ROOT / "conf/model/digits.keras", folder)
    shutil.copy(ROOT / "tests/data/old/keras_3.6.0/residual.weights.h5", folder / "named.weights.h5")
    for name in {Path(each.model).stem for each in MISTAKES.values()} & ZOO.keys():
        ZOO[name]().save(folder / f"{name}.keras")
    return folder


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        yield str(path), status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_says_where_and_what_to_do_and_writes_nothing(cli, models, tmp_path, monkeypatch, what) -> None:
    mistake = MISTAKES[what]
    steps = (mistake.steps,) if isinstance(mistake.steps, str) else mistake.steps
    head = f"blocks: {mistake.blocks}\n" if mistake.blocks else ""
    (tmp_path / "plan.yaml").write_text(f"mutspec: 1\n{head}steps:\n" + "".join(f"- {{{each}}}\n" for each in steps))
    monkeypatch.chdir(tmp_path)
    before = [*_listing(tmp_path), *_listing(models)]
    output = ["-o", mistake.output] if mistake.output else ["--dry-run"]
    call = ("apply", "plan.yaml", str(models / mistake.model))
    result = cli(*call, *output)
    assert (result.code, result.out) == (2, ""), result.err
    if what in ("a misspelt after", "no Flatten", "a model of code"):
        assert cli(*call, "--dry-run") == result
    assert result.err.startswith(f"plan.yaml:{mistake.at}: "), result.err
    for words in mistake.said:
        assert words in result.err
    assert "\n  = " in result.err or what in SAYS_IT_ITSELF, f"no remedy: {result.err}"
    assert "a bug" not in result.err
    assert "Traceback" not in result.err
    assert [*_listing(tmp_path), *_listing(models)] == before


@pytest.mark.parametrize(
    "steps",
    [
        ("op: remove_layer, target: flatten", "op: insert_layer, before: dense_1, layer: {type: Flatten}"),
        (
            "op: remove_layer, target: dense_1",
            "op: replace_layer, target: logits, layer: {type: Dense, units: 10, name: same}",
        ),
    ],
    ids=["put back", "replaced downstream"],
)
def test_a_later_step_may_fix_what_a_removal_breaks(cli, models, tmp_path, monkeypatch, steps) -> None:
    import keras

    (tmp_path / "plan.yaml").write_text("mutspec: 1\nsteps:\n" + "".join(f"- {{{each}}}\n" for each in steps))
    monkeypatch.chdir(tmp_path)
    result = cli("apply", "plan.yaml", str(models / "digits.keras"), "-o", "out.keras")
    assert result.code == 0, result.err
    assert keras.saving.load_model("out.keras").output_shape == (None, 10)


def test_a_model_is_replaced_by_a_layer_that_takes_no_mask(cli, models, tmp_path, monkeypatch) -> None:
    import keras

    layer = "{type: Dense, units: same, name: encoder_1}"
    (tmp_path / "plan.yaml").write_text(
        f"mutspec: 1\nsteps: [{{op: replace_layer, target: encoder, layer: {layer}}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    result = cli("apply", "plan.yaml", str(models / "nested.keras"), "-o", "out.keras")
    assert result.code == 0, result.err
    assert keras.saving.load_model("out.keras").get_layer("encoder_1").kernel.shape == (5, 3)
