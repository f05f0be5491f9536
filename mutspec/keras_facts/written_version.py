"""The version of Keras whose files mutspec writes as Keras does."""

from __future__ import annotations

WRITTEN_VERSION = "3.15.1"
"""Files that are not made of a `.keras` or whole-model `.h5` file of Keras 3 state it; others state their base's."""
