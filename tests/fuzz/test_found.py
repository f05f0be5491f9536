"""What the fuzzer found once is right now, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.case import judged
from tests.fuzz.found import FOUND, load
from tests.fuzz.server import Server, without_keras


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(without_keras)
    yield server
    server.stop()


@pytest.mark.parametrize("folder", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_what_was_found_is_not_found_again(folder: Path, server: Server, tmp_path: Path) -> None:
    case = load(folder)
    assert case.kind == "plain"
    for each in judged(case, tmp_path / "case", server):
        assert not each.faults, f"{' '.join(each.call.arguments)}: {each.faults[0]}\n{each.outcome.err[-2000:]}"
