"""Cases of results that a report or a resumed sweep reads, and of data that mutants are evaluated on."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.fuzz import checks, corpus, hostile, mutate_bytes, mutate_tree, mutate_zip
from tests.fuzz.case import Call, Case
from tests.fuzz.judge import Rules

_CELLS = ("1e999", "nan", "-inf", "0x1", "1_0", '"', "", " 1", "1e-400", "٣", "9" * 5000, "9" * 200_000)
"""What is nearly a number."""


def results(random: Random) -> Case:
    """The folder of a sweep of two jobs, with one or both results mutated."""
    files: dict[str, bytes] = {"sweep/multirun.yaml": b"{}\n"}
    for number, data in enumerate(corpus.results()):
        is_changed = number == 0 or random.random() < 0.3
        files[f"sweep/{number}/result.json"] = _result(data, random) if is_changed else data
    readable = [data for name, data in files.items() if name.endswith("result.json") and is_document(data)]
    damaged = len(corpus.results()) - len(readable)
    writes = Rules(codes=(0, 1, 2, 3), output="page")
    shows = checks.shows_results("sweep", "page", 0, damaged)
    shown = random.choice(((), ("--json",), ("--verbose",), ("--metric", "loss")))
    calls = (
        Call(("report", "sweep", "-o", "page", *shown), writes, shows),
        Call(("sweep",), function="tests.fuzz.commands:read_results"),
    )
    return Case(files, calls, kind="pictures" if random.random() < 0.2 else "plain")


def _result(data: bytes, random: Random) -> bytes:
    kind = random.random()
    if kind < 0.25:
        return mutate_bytes.mutated(data, random)
    if kind < 0.35:
        deep = random.choice((100, 1000, 100_000))
        return data.replace(b"null", b"[" * deep + b"]" * deep, 1)
    tree = json.loads(data)
    if kind < 0.6:
        changed: Any = mutate_tree.renamed(tree, random.choice(hostile.NAMES), random)
    else:
        changed = mutate_tree.mutated(tree, random)
    return json.dumps(changed).encode()


def is_document(data: bytes) -> bool:
    """Whether something is a JSON object at all, as another reader sees it."""
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def npz(random: Random) -> Case:
    base = corpus.content(corpus.CORPUS / "data" / random.choice(("stored.npz", "deflated.npz")))
    kind = random.random()
    if kind < 0.5:
        data = mutate_bytes.mutated(base, random)
    elif kind < 0.8:
        data, _ = mutate_zip.mutated(base, random)
    elif kind < 0.85:
        head = mutate_zip.member(base, "x.npy")[:128].replace(b"(6, 4, 4, 1), ", b"(200000000, 4)".ljust(14))
        x = mutate_zip.bomb(b"x.npy", head, 3200)
        data = mutate_zip.written(mutate_zip.Zip((x,)))
    else:
        head = mutate_zip.member(base, "x.npy")
        shape = random.choice(
            (b"(999999999, 4)", b"(99999999999,)", b"(-1, 4, 4, 1)", b"(6,), (4, 4)", b"(6, 4, 4, 1)*2")
        )
        data = mutate_zip.with_member(base, "x.npy", head.replace(b"(6, 4, 4, 1), ", shape.ljust(14)))
    call = Call(
        ("mutspec.experiment.data.npz", "data.npz"),
        check=checks.reads_the_same_arrays("data.npz"),
        function="tests.fuzz.commands:read_data",
    )
    return Case({"data.npz": data}, (call,))


def csv(random: Random) -> Case:
    base = corpus.content(corpus.CORPUS / "data" / "table.csv")
    if random.random() < 0.5:
        data = mutate_bytes.mutated(base, random)
    else:
        rows = [line.split(",") for line in base.decode().splitlines()]
        for _ in range(random.randint(1, 3)):
            row = random.choice(rows)
            row[random.randrange(len(row))] = str(random.choice((*_CELLS, random.choice(hostile.NAMES))))
        data = "\n".join(map(",".join, rows)).encode("utf-8", errors="surrogatepass")
    return Case(
        {"data.csv": data},
        (Call(("mutspec.experiment.data.csv", "data.csv"), function="tests.fuzz.commands:read_data"),),
    )
