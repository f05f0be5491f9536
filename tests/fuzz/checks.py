"""What is right: outputs and documents against what independent readers see in the inputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.fuzz.case import Room
from tests.fuzz.server import Outcome

Check = Callable[[Room, Outcome], Iterator[str]]


def is_json(room: Room, outcome: Outcome) -> Iterator[str]:
    try:
        json.loads(outcome.out)
    except ValueError:
        yield "exit code 0 and no JSON document"


def lists_what_is_there(model: str) -> Check:
    """`inspect --json`: each weight is one that the file has, in shape and type."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        yield from is_json(room, outcome)
        datasets = room.facts(model).get("datasets")
        if datasets is None:
            return
        known = {(tuple(each["shape"]), _kind(each["dtype"])) for each in datasets.values()}
        for layer in json.loads(outcome.out)["layers"]:
            for weight in layer["weights"]:
                if (tuple(weight["shape"]), _kind(weight["dtype"])) not in known:
                    yield "lists a weight that is not in the file"
                    return

    return check


def _kind(dtype: str) -> str:
    """A type's name in any byte order; bfloat16 is two opaque bytes in HDF5."""
    plain = dtype.lstrip("<>|=")
    return {"f4": "float32", "f8": "float64", "f2": "float16", "V2": "bfloat16"}.get(plain, plain)


def damage_is_not_hidden(source: str, output: str) -> Check:
    """An output is not whole where what it was made of is not."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        before, after = room.facts(source), room.facts(output)
        if before.get("is_zip") and not before["is_whole"] and after.get("is_whole", True):
            yield f"hides damage of {source}"

    return check


def is_a_model(source: str, output: str) -> Check:
    """The output is whole, with the datasets of its source; damage stays what it is."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        yield from damage_is_not_hidden(source, output)(room, outcome)
        before, after = room.facts(source), room.facts(output)
        if before.get("is_whole") and not after.get("is_whole"):
            yield "writes a file that is not whole"
        if before.get("datasets") is not None:
            if after.get("datasets") is None:
                yield "writes a file that h5py cannot read"
            elif shapes(before) != shapes(after):
                yield "writes other datasets than its input has"

    return check


def shapes(facts: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: (tuple(each["shape"]), each["dtype"]) for name, each in facts["datasets"].items()}


def is_the_same(source: str, output: str, *, is_plain: bool) -> Check:
    """A plan that changes no value leaves every bit; where the file is edited in place, every byte of it."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        if is_plain and (room.folder / source).read_bytes() != (room.folder / output).read_bytes():
            yield "a plan that changes nothing changes bytes"
        yield from is_a_model(source, output)(room, outcome)
        before, after = room.facts(source).get("datasets"), room.facts(output).get("datasets")
        if before is not None and after is not None and _values(before) != _values(after):
            yield "a plan that changes nothing changes values"

    return check


def _values(datasets: Mapping[str, Any]) -> dict[str, str]:
    return {name: each["digest"] for name, each in datasets.items()}


def is_negated(source: str, output: str) -> Check:
    """Each dataset is as it was, or its exact negation; and these are as many as the report says."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        faults = list(is_a_model(source, output)(room, outcome))
        yield from faults
        before, after = room.facts(source).get("datasets"), room.facts(output).get("datasets")
        if faults or before is None or after is None:
            return
        negated = [name for name in before if after[name]["digest"] != before[name]["digest"]]
        if any(after[name]["digest"] != before[name]["negated"] for name in negated):
            yield "changes a value otherwise than the plan says"
        told = json.loads(outcome.out)["steps"][0]["targets"]
        changed = Counter(tuple(each["shape"]) for each in told if each["changed"])
        if changed != Counter(tuple(before[name]["shape"]) for name in negated):
            yield "reports other weights than it changed"

    return check


def touches_what_it_says(source: str, output: str) -> Check:
    """No more datasets change than the report has targets."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        yield from is_json(room, outcome)
        faults = list(is_a_model(source, output)(room, outcome))
        yield from faults
        before, after = room.facts(source).get("datasets"), room.facts(output).get("datasets")
        if faults or before is None or after is None:
            return
        steps = json.loads(outcome.out)["steps"]
        told = {(each["layer"], each["weight"]) for step in steps for each in step["targets"] if each["touched"]}
        changed = [name for name in before if after[name]["digest"] != before[name]["digest"]]
        if len(changed) > len(told):
            yield "changes weights that it does not report"

    return check


def holds_no_code(output: str) -> Check:
    """Nothing in a mutant runs code when it is loaded, as nothing in its base does."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        facts = room.facts(output)
        if not facts.get("is_whole"):
            yield "writes a file that is not whole"
        elif facts["has_code"]:
            yield "writes code into a mutant"

    return check


def keeps_weights(source: str, output: str) -> Check:
    """A plan that only adds layers: each weight of the model is in the output, to the bit."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        before, after = room.facts(source), room.facts(output)
        if not after.get("is_whole") or after.get("datasets") is None:
            yield "writes a file that is not whole"
        elif before.get("datasets") is not None and before.get("is_whole"):
            kept = Counter(each["digest"] for name, each in before["datasets"].items() if name.startswith("layers/"))
            there = Counter(each["digest"] for each in after["datasets"].values())
            if kept - there:
                yield "loses a weight that no step touches"
        yield from damage_is_not_hidden(source, output)(room, outcome)

    return check


def sees_differences(left: str, right: str) -> Check:
    """`diff` with exit code 0: the weights are equal as others read them. With 1: the files differ."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        yield from is_json(room, outcome)
        before, after = room.facts(left).get("datasets"), room.facts(right).get("datasets")
        if outcome.code == 1 and (room.folder / left).read_bytes() == (room.folder / right).read_bytes():
            yield "finds a file different from itself"
        if outcome.code == 0 and before is not None and after is not None and _weights(before) != _weights(after):
            yield "does not see that weights differ"

    return check


def _weights(datasets: Mapping[str, Any]) -> dict[str, str]:
    """The model's own; a file may hold an optimizer's too."""
    return {
        name: digest for name, digest in _values(datasets).items() if name.startswith(("layers/", "model_weights/"))
    }


def shows_results(folder: str, output: str, readable: int, damaged: int) -> Check:
    """`report`: a row for each result that can be read, exit code 1 if any cannot; nothing that a reader would run."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        facts = room.facts(output, "print_report")
        if not facts:
            yield "writes a report that cannot be read"
            return
        if facts["rows"] < readable:
            yield "leaves out a result"
        if facts["formulas"]:
            yield "writes a cell that a spreadsheet would run"
        if facts["markup"]:
            yield "writes a page with markup of its inputs"
        if damaged and outcome.code == 0:
            yield "exit code 0 with a damaged result"

    return check


def reads_the_same_arrays(path: str) -> Check:
    """x and y are what NumPy reads."""

    def check(room: Room, outcome: Outcome) -> Iterator[str]:
        facts = room.facts(path, "print_arrays")
        if outcome.code == 0 and facts and facts != json.loads(outcome.out):
            yield "reads other values than NumPy"

    return check
