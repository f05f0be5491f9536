"""Cases as folders: what a run leaves of each finding, and what is kept of it as a test.

A folder holds the files of the case and `case.json`, with the calls and what they may do. What only an independent
reader can tell is not in it: a finding of that kind gets a test of its own.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.case import Call, Case
from tests.fuzz.corpus import CORPUS
from tests.fuzz.judge import Rules
from tests.fuzz.server import Limits

FOUND = CORPUS / "found"
"""The findings that are kept. To keep one: `cp -r build/fuzz/SEED-NUMBER tests/fuzz/corpus/found/WHAT-IT-IS`."""
_NAME = "case.json"


def save(case: Case, folder: Path) -> None:
    """Write a case as a folder; one that is there is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    calls = [
        {"function": call.function, "arguments": call.arguments, "rules": asdict(call.rules)} for call in case.calls
    ]
    document = {"kind": case.kind, "refused_for": case.refused_for, "limits": asdict(case.limits), "calls": calls}
    (folder / _NAME).write_text(json.dumps(document, indent=1) + "\n")


def load(folder: Path) -> Case:
    """The case in a folder."""
    document = json.loads((folder / _NAME).read_text())
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _NAME
    }
    calls = (
        Call(tuple(call["arguments"]), _rules(call["rules"]), function=call["function"]) for call in document["calls"]
    )
    limits = Limits(**document["limits"])
    return Case(files, tuple(calls), document["refused_for"], kind=document["kind"], limits=limits)


def _rules(given: dict[str, object]) -> Rules:
    return Rules(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
