"""How large a patch is, and what is refused: another model, a patch in another place, outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import mutspec
from mutspec.errors import CallError, CheckError, ModelError
from mutspec.model.files.opening import open_archive
from mutspec.patches import write_patch
from tests.execute.model_files import DIGITS
from tests.patches.making import Step, assert_leads_both_ways, mutant_of, patch_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

ABOUT_THE_MODELS = 3000
"""The most bytes that a patch of the digits says besides the values: fingerprints, and architectures."""
ONE: Step = {"op": "gaussian_noise", "target": "dense_1/kernel", "std": 0.1}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copy(DIGITS, tmp_path / "base.keras"))


@pytest.fixture
def patch(base: Path) -> Path:
    return patch_of(base, mutant_of(base, ONE))[0]


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        ((ONE,), 4 * 512 * 40),
        (({**ONE, "fraction": 0.01},), 8 * 205),
        (({"op": "rename_layer", "target": "dense_1", "to": "renamed"},), 0),
        (({"op": "swap_weights", "target": "bn_1/gamma", "other": "bn_1/beta"},), 0),
        (({"op": "insert_layer", "after": "conv_1", "layer": {"type": "Activation", "activation": "tanh"}},), 0),
    ],
    ids=["a layer", "one entry in a hundred", "a name", "a swap", "a layer without weights"],
)
def test_a_patch_is_as_large_as_what_changed(steps: tuple[Step, ...], values: int, base: Path) -> None:
    known = {tensor.path: tensor.size for tensor in open_archive(base).spec.tensors}
    if values:
        values = values * known["dense_1/kernel"] // (512 * 40)
    made = assert_leads_both_ways(base, mutant_of(base, *steps))
    assert values <= made.bytes <= values + ABOUT_THE_MODELS


def test_any_reader_of_safetensors_shows_what_differs(base: Path, patch: Path) -> None:
    shown = load_file(patch)
    assert set(shown) == {"document", "xor/dense_1/kernel"}
    assert np.count_nonzero(shown["xor/dense_1/kernel"]) > 100


def test_equal_models_have_no_patch(base: Path) -> None:
    same = Path(shutil.copy(base, base.with_name("same.keras")))
    assert write_patch(open_archive(base), open_archive(same), base.with_name("p.safetensors")) is None
    assert not base.with_name("p.safetensors").exists()


OTHERS: dict[str, tuple[Step, str]] = {
    "another weight": (
        {"op": "scale", "target": "logits/bias", "factor": 2.0},
        "`logits/bias` differs from base.keras",
    ),
    "another name": (
        {"op": "rename_layer", "target": "logits", "to": "out"},
        "`logits/kernel` and `logits/bias` are missing, and are in base.keras; `out/kernel` and `out/bias` are not in",
    ),
    "another setting": (
        {"op": "configure_layer", "target": "logits", "set": {"activation": "softsign"}},
        "all weights are the same, but layers, their settings or connections differ from base.keras",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_model_is_refused_by_what_differs(other: str, base: Path, patch: Path) -> None:
    step, said = OTHERS[other]
    model, output = mutant_of(base, step, output=base.with_name("other.keras")), base.with_name("out.keras")
    with pytest.raises(CheckError, match=r"is not the model that .*patch\.safetensors changes") as caught:
        mutspec.patch(model, patch, output)
    assert said in str(caught.value)
    assert not output.exists()


def test_a_patch_is_applied_once_and_undone_once(base: Path, patch: Path) -> None:
    output = base.with_name("out.keras")
    with pytest.raises(CheckError, match=r"has the change of .* already"):
        mutspec.patch(base.with_name("mutant_base.keras"), patch, output)
    with pytest.raises(CheckError, match="so it cannot be undone"):
        mutspec.patch(base, patch, output, reverse=True)
    assert not output.exists()


def test_files_in_the_wrong_place_are_named(base: Path, patch: Path) -> None:
    output = base.with_name("out.keras")
    plan = base.with_name("plan.yaml")
    plan.write_text("mutspec: 1\nsteps: []\n")
    with pytest.raises(ModelError, match=r"plan.yaml is not a patch\. apply a plan by: mutspec apply"):
        mutspec.patch(base, plan, output)
    with pytest.raises(ModelError, match=r"base\.keras is not a patch"):
        mutspec.patch(patch, base, output)
    with pytest.raises(ModelError, match=r"patch.safetensors is a patch, not a model\. apply it to a model"):
        mutspec.patch(patch, patch, output)
    with pytest.raises(ModelError, match=r"Did you mean `patch.safetensors`"):
        mutspec.patch(base, base.with_name("pacth.safetensors"), output)


def test_outputs_that_cannot_be_are_refused_before_any_work(base: Path, patch: Path) -> None:
    mutant = base.with_name("mutant_base.keras")
    with pytest.raises(CallError, match=r"is to be a \.safetensors file"):
        mutspec.diff(base, mutant, patch=base.with_name("fix.patch"))
    with pytest.raises(CallError, match="exists"):
        mutspec.diff(base, mutant, patch=patch)
    with pytest.raises(CallError, match="is the same file as the input"):
        mutspec.patch(base, patch, patch, force=True)
    with pytest.raises(CallError, match="a model is in memory"):
        mutspec.diff(base, object(), patch=patch)
    structural, _ = patch_of(base, mutant_of(base, OTHERS["another setting"][0]))
    with pytest.raises(CallError, match=r"the patch changes the architecture, and out\.safetensors would hold"):
        mutspec.patch(base, structural, base.with_name("out.safetensors"))
