"""Readers that are not commands of their own, called as commands are: within the same boundary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mutspec.cli.boundary import run


def read_data(arguments: Sequence[str]) -> None:
    """Load data as `mutspec run data=… data.path=…` does, and print the digests of x and y."""
    from mutspec.experiment.data.loading import load_data

    def load(target: str, path: str) -> None:
        data = load_data({"_target_": target, "path": path, **({"label": "label"} if target.endswith("csv") else {})})
        arrays = {name: array for name, array in (("x", data.x), ("y", data.y)) if array is not None}
        print(json.dumps({name: hashlib.sha256(each.tobytes()).hexdigest()[:16] for name, each in arrays.items()}))

    _run(load, *arguments)


def read_results(arguments: Sequence[str]) -> None:
    """Look at a folder as `mutspec run -m resume=DIR` does, and print the jobs that are done."""
    from mutspec.experiment.jobs.resume import Before, finished, folder_to_go_on_in, labelled

    def resume(name: str) -> None:
        folder = folder_to_go_on_in(name, Path("runs"), is_new=True, is_sweep=True)
        before = Before.of(folder, is_resumed=True)
        done = [finished(job, "", ()) for job in sorted(folder.iterdir())]
        for result in done:
            if result is not None:
                labelled(result, result.job, folder / Path(result.job.directory).name)
        print(json.dumps({"done": [result is not None for result in done], "kept": before.since().kept}))

    _run(resume, *arguments)


def _run(function: Callable[..., Any], *arguments: str) -> None:
    raise SystemExit(run(click.Command("fuzz", callback=lambda: function(*arguments)), [], "fuzz"))
