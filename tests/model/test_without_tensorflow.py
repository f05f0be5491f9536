"""Files are read without TensorFlow and Keras, and plans are validated without NumPy and h5py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.model.conftest import Zoo

READ = """
import json, sys
for name in ("tensorflow", "keras", "tf_keras", "torch", "jax"):
    sys.modules[name] = None
from pathlib import Path
from mutspec.model.files.opening import open_archive
print(json.dumps([open_archive(Path(path)).spec.structure_digest for path in sys.argv[1:]]))
"""
IMPORT = """
import sys
import mutspec.model, mutspec.model.build, mutspec.model.outline
print([name for name in ("numpy", "h5py", "tensorflow", "keras") if name in sys.modules])
"""


def _python(code: str, *arguments: str, seed: str = "0") -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return result.stdout


def test_files_are_read_where_keras_cannot_be_imported(zoo: Zoo) -> None:
    names = ("residual", "transformer", "bidirectional", "nested_twice_deep")
    files = [str(path) for name in names for path in (zoo[name].keras, zoo[name].h5)]
    expected = [zoo[name].live.spec.structure_digest for name in names for _ in range(2)]
    for seed in ("1", "2"):
        assert json.loads(_python(READ, *files, seed=seed)) == expected


def test_the_room_imports_neither_numpy_nor_h5py() -> None:
    assert _python(IMPORT).strip() == "[]"
