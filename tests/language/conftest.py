"""The ops that mutspec ships, for all tests of the language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mutspec.ops import catalogue as shipped


@pytest.fixture(scope="session")
def catalogue() -> Mapping[str, type[Any]]:
    return shipped(plugins=False)
