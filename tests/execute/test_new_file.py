"""Files of structural plans that mutspec writes without Keras are those that Keras would have written."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import CheckError, EnvironmentProblem, ModelError
from mutspec.execute.built_by_keras import in_keras
from mutspec.execute.compiling import compiled
from mutspec.execute.files import apply, dry_run
from mutspec.execute.saving import save_model
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.laying_out import lay_out_weights_h5
from mutspec.model.files.new_model import NewModel
from mutspec.model.files.opening import open_archive
from mutspec.model.opaque_layers import opaque_layers
from mutspec.model.outline import outline_of
from mutspec.model.saved_groups import saved_groups
from mutspec.show.report import Report
from tests.execute.model_files import WEIGHTS, make_file, write_stack
from tests.execute.test_failing_writes import assert_nothing_is_left
from tests.execute.test_output import names
from tests.execute.test_processes import script
from tests.execute.test_verify import overwrite
from tests.keras_facts.installed import without_newer
from tests.toys import plan_of
from tests.without_keras import BLOCKER
from tests.zoo import ZOO

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

UNTAKEN = {"subclassed", "subclassed_functional", "shared_everywhere", "shared_with_nested"}
"""Models that no structural step takes."""

ONLY_KERAS = {*UNTAKEN, "preprocessing", "custom_layer", "nested_custom"}
"""Models that only Keras writes as `.h5`: they have classes of no table."""

DENSE = {"op": "insert_layer", "id": "new", "after": "dense_1", "layer": {"type": "Dense", "units": 300}}
SMALL = {"op": "rename_layer", "target": "dense_1", "to": "d"}
NOISE = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5}
FEW = {"op": "gaussian_noise", "id": "few", "target": "dense_0/kernel", "std": 0.5, "fraction": 1e-4}
PLAN = plan_of(DENSE, NOISE)


@lru_cache(maxsize=1)
def saved(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        ZOO[name]().save(path := Path(folder) / "base.keras")
        return path.read_bytes()


def base_of(name: str, folder: Path) -> Path:
    path = folder / "base.keras"
    path.write_bytes(saved(name))
    return path


def weights_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as file:
        return file.read(WEIGHTS)


def config_of(path: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(path) as file:
        config: Mapping[str, Any] = json.loads(file.read("config.json"))
        return config


MIXED_LIST = {"nested_custom"}
"""Models with a list of layers of several classes. By their names in the file, they are in another order there."""


@pytest.mark.parametrize("name", sorted(ZOO.keys() - UNTAKEN - MIXED_LIST))
def test_a_file_has_the_bytes_that_keras_writes(name: str, tmp_path: Path) -> None:
    base = open_archive(base_of(name, tmp_path))
    outline, stored = outline_of(base.config), {path: (each.shape, each.dtype) for path, each in base.stored.items()}
    groups = saved_groups(
        outline,
        base.spec.tensors,
        {path: each.dataset for path, each in base.extents.items()},
        opaque_layers(outline.root, stored, base.names),
    )
    model = NewModel(base, base.config, base.spec.tensors, groups, "", "")
    content = bytearray(base.path.read_bytes())
    with (tmp_path / "made.weights.h5").open("w+b") as file:
        laid_out = lay_out_weights_h5(model, file.fileno())
        for path, places in laid_out.places.items():
            source = base.extents[path]
            assert source.offset is not None
            for place in places:
                assert place.offset is not None
                os.pwrite(file.fileno(), content[source.offset : source.offset + source.bytes], place.offset)
        assert os.pread(file.fileno(), len(content), 0) == weights_of(base.path)


GATE = {"class_name": "zoo>Gate", "config": {"units": 2}}
DROPOUT = {"type": "Dropout", "rate": 0.1}
AUGMENTATIONS: list[dict[str, Any]] = [
    {"type": "RandomFlip"},
    {"type": "RandomRotation", "factor": 0.1, "seed": 3},
    {"type": "RandomCrop", "height": 5, "width": 5, "seed": 3},
    {"type": "Resizing", "height": 6, "width": 6},
]
OPS: list[tuple[str, list[dict[str, Any]]]] = [
    ("residual", [{"op": "insert_layer", "after": "stem", "layer": DROPOUT}]),
    ("residual", [{"op": "insert_layer", "before": "branch", "layer": {"type": "BatchNormalization"}}, NOISE]),
    ("residual", [{"op": "remove_layer", "target": ["relu", "norm"]}, NOISE]),
    ("residual", [{"op": "replace_layer", "target": "relu", "layer": {"type": "PReLU"}}]),
    ("residual", [{"op": "configure_layer", "target": "head", "set": {"trainable": False}}]),
    ("residual", [{"op": "rename_layer", "target": "branch", "to": "zweig"}]),
    ("residual", [{"op": "insert_layer", "before": "stem", "layers": AUGMENTATIONS}]),
    ("bidirectional", [{"op": "insert_layer", "after": "both", "layer": {"type": "LayerNormalization"}}]),
    ("nested", [{"op": "insert_layer", "before": "head", "layer": {"type": "Dense", "units": 3}}]),
    ("multiple_io", [{"op": "insert_layer", "after": "dense_1", "layer": DROPOUT}]),  # other layers are further now
    ("shared_layers", [{"op": "insert_layer", "before": "shared", "layer": {"type": "Dense", "units": 4}}]),
    ("bfloat16", [{"op": "insert_layer", "after": {"type": "Dense"}, "layer": DROPOUT}, NOISE]),
    (
        "spectral_embedding",
        [
            {"op": "insert_layer", "after": "spectral_normalization", "layer": DROPOUT},
            {"op": "scale", "target": {"weights": "embeddings"}, "factor": 2},
        ],
    ),
]


def by_keras(plan: Any, base: Path, output: Path) -> Report:
    """What mutspec does with a file for which it needs Keras."""
    import keras

    keras.backend.clear_session(free_memory=False)  # it numbers automatic names
    archive = open_archive(base)
    prepared, loaded = compiled(plan, archive, {}, unsafe=False)
    done = in_keras(archive, prepared, loaded, None, None)
    save_model(done.model, output, force=False, date_saved=date_saved_of(base))
    return done.report


@pytest.mark.parametrize(("name", "steps"), OPS)
def test_a_mutant_has_the_bytes_of_the_one_that_keras_builds(
    name: str, steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    base, plan = base_of(name, tmp_path), plan_of(*steps)
    report = apply(plan, base, tmp_path / "ours.keras")
    assert report.needs_keras == ""
    by_keras(plan, base, tmp_path / "keras.keras")
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")
    assert without_newer(config_of(tmp_path / "ours.keras")) == without_newer(config_of(tmp_path / "keras.keras"))


WITHOUT_KERAS = (
    BLOCKER
    + """
from pathlib import Path
from mutspec.execute.files import apply
from tests.execute.test_new_file import OPS
from tests.toys import plan_of
name, steps = OPS[int(sys.argv[1])]
for output in ("mutant.keras", "mutant.weights.h5"):
    apply(plan_of(*steps), Path("base.keras"), Path(output))
"""
)


def test_a_mutant_that_is_written_without_keras_loads_in_keras_and_predicts_the_same(tmp_path: Path) -> None:
    import keras

    base, (_, steps) = base_of("residual", tmp_path), OPS[0]
    done = script(f"import os; os.chdir({str(tmp_path)!r})\n{WITHOUT_KERAS}", "0")
    assert done.returncode == 0, done.stderr
    old, new = keras.saving.load_model(base), keras.saving.load_model(tmp_path / "mutant.keras")
    x = np.random.default_rng(0).random((2, *old.input_shape[1:]), np.float32)
    assert np.array_equal(old(x), new(x))
    assert steps[0]["op"] in {layer.name for layer in new.layers}
    for variable in new.weights:
        variable.assign(np.zeros(variable.shape, variable.dtype))
    new.load_weights(tmp_path / "mutant.weights.h5")
    assert np.array_equal(old(x), new(x))


NEW_ATTENTION: list[dict[str, Any]] = [
    {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3},
    {"type": "GroupQueryAttention", "head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
]


@pytest.mark.parametrize("layer", NEW_ATTENTION, ids=lambda layer: str(layer["type"]))
def test_keras_finds_the_projections_of_a_new_attention_layer_where_it_looks(
    layer: dict[str, Any], tmp_path: Path
) -> None:
    import keras

    step = {"op": "insert_layer", "after": "gqa", "with": "gqa", "layer": {**layer, "name": "new"}}
    base, plan = base_of("attentions", tmp_path), plan_of(step)
    assert apply(plan, base, tmp_path / "mutant.keras").needs_keras == ""
    loaded = keras.models.load_model(tmp_path / "mutant.keras").get_layer("new").get_weights()
    live = mutspec.apply(plan, keras.models.load_model(base)).get_layer("new").get_weights()
    assert len(loaded) == len(live) == 8
    assert all(np.array_equal(one, other) for one, other in zip(loaded, live, strict=True))


def test_date_and_version_are_those_of_the_base(tmp_path: Path) -> None:
    base = without_training(make_file("keras", tmp_path))
    apply(plan_of({"op": "rename_layer", "target": "dense", "to": "d"}), base, tmp_path / "mutant.keras")
    with zipfile.ZipFile(base) as one, zipfile.ZipFile(tmp_path / "mutant.keras") as other:
        assert json.loads(one.read("metadata.json")) == json.loads(other.read("metadata.json"))
        assert [info.filename for info in other.infolist()] == ["metadata.json", "config.json", WEIGHTS]
        assert {info.compress_type for info in other.infolist()} == {zipfile.ZIP_STORED}
        assert other.testzip() is None


def without_training(path: Path) -> Path:
    """The same file, of a model that is not compiled."""
    with zipfile.ZipFile(path) as file:
        members = [(info, file.read(info)) for info in file.infolist()]
    with zipfile.ZipFile(path, "w") as file:
        for info, data in members:
            config = json.loads(data) if info.filename == "config.json" else {}
            config.pop("compile_config", None)
            file.writestr(info, json.dumps(config) if config else data)
    return path


def values_in(path: Path) -> dict[str, bytes]:
    """The values of all weights, read by h5py."""
    import io

    import h5py

    with h5py.File(io.BytesIO(weights_of(path))) as file:
        found: dict[str, bytes] = {}
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
        return found


@pytest.mark.parametrize("kind", ["keras", "keras, big-endian", "keras, gzipped datasets", "keras, deflated"])
def test_weights_are_kept_however_the_base_stores_them(kind: str, tmp_path: Path) -> None:
    plain, base = (
        without_training(make_file(each, tmp_path, stem)) for each, stem in (("keras", "plain"), (kind, "base"))
    )
    plan = plan_of({"op": "rename_layer", "target": "dense", "to": "d"})
    assert apply(plan, base, tmp_path / "mutant.keras").needs_keras == ""
    kept = {path: values for path, values in values_in(plain).items() if not path.startswith("optimizer")}
    assert values_in(tmp_path / "mutant.keras") == kept


@pytest.mark.parametrize("steps", [[FEW], [DENSE, FEW], [DENSE, NOISE], [NOISE, DENSE, FEW]])
def test_changed_weights_are_those_of_the_plan_without_the_structural_steps(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Steps on weights draw the same, whether the file is a copy that was edited or a new one."""
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    apply(plan_of(*[step for step in steps if step is not DENSE]), base, tmp_path / "edited.keras")
    apply(plan_of({"op": "rename_layer", "target": "dense_2", "to": "d"}, *steps), base, tmp_path / "new.keras")
    edited, new = values_in(tmp_path / "edited.keras"), values_in(tmp_path / "new.keras")
    moved = {"layers/dense_2/vars/0": "layers/dense_3/vars/0"} if DENSE in steps else {}
    noise_on_new = {"layers/dense_2/vars/0"} if DENSE in steps else set()
    assert {moved.get(path, path): values for path, values in edited.items()} == {
        path: values for path, values in new.items() if path not in noise_on_new and not path.endswith("/1")
    }


def test_the_bytes_do_not_depend_on_threads(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    outputs = []
    for threads in (1, 2, 5):
        apply(PLAN, base, tmp_path / "mutant.keras", threads=threads, force=True)
        outputs.append((tmp_path / "mutant.keras").read_bytes())
    assert len(set(outputs)) == 1


def test_a_dry_run_says_what_apply_does(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    foretold, done = dry_run(PLAN, base), apply(PLAN, base, tmp_path / "mutant.keras")
    assert (foretold.steps[0], foretold.structure, foretold.parameters_after) == (
        done.steps[0],
        done.structure,
        done.parameters_after,
    )
    assert [target.touched for target in foretold.steps[1].targets] == [
        target.touched for target in done.steps[1].targets
    ]
    assert open_archive(tmp_path / "mutant.keras").spec.parameters == foretold.parameters_after


@pytest.mark.parametrize(
    ("name", "steps", "reason"),
    [
        (
            "custom_layer",
            [{"op": "insert_layer", "after": "dense_7", "layer": GATE}],
            "only Keras knows the first value of `insert_layer/var0`",
        ),
    ],
)
def test_the_report_says_why_keras_is_needed(
    name: str, steps: list[dict[str, Any]], reason: str, tmp_path: Path
) -> None:
    base, plan = base_of(name, tmp_path), plan_of(*steps)
    foretold, done = dry_run(plan, base), apply(plan, base, tmp_path / "mutant.keras")
    assert reason in foretold.needs_keras
    assert done.needs_keras == foretold.needs_keras
    assert done.to_json()["needs_keras"] == done.needs_keras
    assert f"Keras builds the mutant: {foretold.needs_keras}." in " ".join(str(foretold).split())
    assert f"Keras built the mutant: {foretold.needs_keras}." in " ".join(str(done).split())


@pytest.mark.parametrize("tensor", ["dense_0/kernel", "dense_2/kernel"])
def test_a_damaged_base_is_an_error_unless_nobody_wants_to_know(tensor: str, tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=30)
    overwrite(base, tensor)
    plan = plan_of({"op": "rename_layer", "target": "dense_1", "to": "d"})
    with pytest.raises(ModelError, match=r"is damaged: .* the mutant's weights may be wrong"):
        apply(plan, base, tmp_path / "mutant.keras")
    assert names(tmp_path) == ["base.keras"]
    apply(plan, base, tmp_path / "mutant.keras", verify=False)
    with zipfile.ZipFile(tmp_path / "mutant.keras") as file:
        assert file.testzip() is None


def test_a_disk_that_holds_other_bytes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    real, number = os.pwrite, 0

    def lying(descriptor: int, data: Any, offset: int) -> int:
        nonlocal number
        if len(data) == 360_000 and (number := number + 1) == 2:
            data = bytes([data[0] ^ 1]) + bytes(data[1:])
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", lying)
    plan = plan_of({"op": "rename_layer", "target": "dense_1", "to": "d"})
    with pytest.raises(EnvironmentProblem, match="the disk does not hold what was written to it"):
        apply(plan, base, tmp_path / "mutant.keras")
    assert names(tmp_path) == ["base.keras"]


@pytest.mark.parametrize("policy", ["error", "report"])
def test_a_first_value_that_is_infinite_counts(policy: str, tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=2, units=30)
    initializer = {"class_name": "Constant", "config": {"value": 1e39}}
    layer = {"type": "Dense", "units": 30, "bias_initializer": initializer}
    plan = plan_of({**DENSE, "layer": layer, "non_finite": policy})
    if policy == "error":
        with pytest.raises(CheckError, match="makes 30 of 30 entries of `new/bias` infinite or NaN"):
            apply(plan, base, tmp_path / "mutant.keras")
        assert names(tmp_path) == ["base.keras"]
    else:
        report = apply(plan, base, tmp_path / "mutant.keras")
        assert any("30 of 30 entries of `new/bias`" in str(warning) for warning in report.warnings)


MEASURED = """
import resource, sys
from pathlib import Path
from mutspec.execute.files import apply
from tests.execute.test_new_file import PLAN
small, large = map(Path, sys.argv[1:])
apply(PLAN, small, small.with_name("out.keras"), threads=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
apply(PLAN, large, large.with_name("large_out.keras"), threads=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    write_stack(tmp_path / "small.keras", layers=2, units=300)
    write_stack(tmp_path / "large.keras", layers=150, units=300)
    done = script(MEASURED, str(tmp_path / "small.keras"), str(tmp_path / "large.keras"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 20e6 < (tmp_path / "large.keras").stat().st_size


STRUCTURE = plan_of(DENSE, FEW)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_call_that_fails_leaves_the_old_file_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    base, output = tmp_path / "base.keras", tmp_path / f"output{suffix}"
    write_stack(base, layers=3, units=300)
    calls = {"open", "dup", "pwrite", "ftruncate", "fsync", "replace"}
    assert_nothing_is_left(lambda: apply(STRUCTURE, base, output, force=True, threads=1), output, calls)


@pytest.mark.parametrize("position", [1, 2, 3])
def test_an_interrupt_leaves_nothing(position: int, tmp_path: Path) -> None:
    base, calls = tmp_path / "base.keras", 0
    write_stack(base, layers=3, units=300)

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == position:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(STRUCTURE, base, tmp_path / "mutant.keras", on_progress=interrupt)
    assert names(tmp_path) == ["base.keras"]


def test_a_base_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    with pytest.raises(ModelError, match="was changed while it was read"):
        apply(STRUCTURE, base, tmp_path / "mutant.keras", on_progress=lambda done, total: os.truncate(base, 100_000))
    assert names(tmp_path) == ["base.keras"]


LIMITED = """
import json, sys
from pathlib import Path
from tests.execute.test_failing_writes import outcomes_by_size
from tests.execute.test_new_file import STRUCTURE

print(json.dumps(outcomes_by_size(STRUCTURE, Path(sys.argv[1]), (*range(0, 15, 2), 1000))))
"""


def test_whatever_size_a_file_may_have_it_is_whole_or_the_old_one(tmp_path: Path) -> None:
    base = tmp_path / "base.keras"
    write_stack(base, layers=3, units=300)
    done = script(LIMITED, str(base))
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes[0] == "refused"
    assert outcomes[-1] == "written"
    assert outcomes == sorted(outcomes)  # once there is room for it, there is
