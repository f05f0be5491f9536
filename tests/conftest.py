"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says more about what else runs on the machine than about us.
settings.register_profile("mutspec", deadline=None, print_blob=True)
settings.load_profile("mutspec")
