"""The environment of a job: the versions on which the last bits of its numbers may depend."""

from __future__ import annotations

import platform
import sys

PACKAGES = ("numpy", "keras", "tensorflow")


def environment() -> dict[str, str]:
    """Returns the versions of Python, of the platform, and of the packages that are imported."""
    versions = {name: str(sys.modules[name].__version__) for name in PACKAGES if name in sys.modules}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions,
    }
