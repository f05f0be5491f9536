"""Forks with limits, and what /proc says about them: these tests are for Linux."""

from __future__ import annotations

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
