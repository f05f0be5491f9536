"""Settings of the tests of structural steps: none is about reading files."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _hdf5_in_this_process(hdf5_in_this_process: None) -> None:
    """Reads HDF5 without a child, see `tests/conftest.py`."""
