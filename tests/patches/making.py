"""Model files and patches of them, and what must hold of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mutspec
from mutspec.access.fingerprint import fingerprint
from mutspec.model.files.opening import open_archive
from mutspec.patches import PatchSummary, write_patch

Step = dict[str, Any]

SOME_WEIGHTS: tuple[Step, ...] = (
    {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.1, "count": 2, "per": "tensor"},
    {"op": "scale", "target": {"weights": "kernels", "pick": {"last": 1}}, "factor": 1.5},
)
"""A few entries of each kernel, and all of the last one."""


def mutant_of(base: Path, *steps: Step, output: Path | None = None, architecture: Path | None = None) -> Path:
    """The file of a mutant, next to its base."""
    output = output or base.with_name(f"mutant_{base.name}")
    mutspec.apply(mutspec.plan({"steps": list(steps)}), base, output, architecture=architecture, force=True)
    return output


def patch_of(before: Path, after: Path, architecture: Path | None = None) -> tuple[Path, PatchSummary]:
    """A patch of two files, which differ, next to the first one."""
    patch = before.with_name("patch.safetensors")
    made = write_patch(
        open_archive(before, architecture=architecture),
        open_archive(after, architecture=architecture),
        patch,
        force=True,
    )
    assert made is not None
    assert made.bytes == patch.stat().st_size
    return patch, made


def digest_of(file: Path, architecture: Path | None = None) -> str:
    """The digest of a file's fingerprint."""
    return fingerprint(open_archive(file, architecture=architecture)).digest


def assert_leads_both_ways(
    before: Path, after: Path, suffixes: Mapping[str, str] | None = None, architecture: Path | None = None
) -> PatchSummary:
    """Applies the patch of two files, and undoes it: each time the result is the other model, to the bit.

    Arguments:
        before, after: the files.
        suffixes: how outputs are called, by the direction; by default as the files are.
        architecture: that of files that hold weights alone.
    """
    patch, made = patch_of(before, after, architecture)
    for name, model, wanted in (("forwards", before, after), ("backwards", after, before)):
        suffix = (suffixes or {}).get(name) or "." + wanted.name.partition(".")[2]
        output = before.with_name(f"{name}{suffix}")
        mutspec.patch(model, patch, output, reverse=name == "backwards", architecture=architecture, force=True)
        assert digest_of(output, architecture) == digest_of(wanted, architecture)
    return made
