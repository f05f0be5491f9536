"""The folders that are shipped beside the code: `conf` (recipes, models, Hydra configuration) and `schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource_folder(name: Literal["conf", "schemas"]) -> Path:
    """Find a shipped folder, in an installed wheel as well as in a checkout.

    In a wheel the folders lie within the package; in a checkout (an editable install too) they lie beside it, at the
    top level, where people look for them.

    Arguments:
        name: the folder's name.

    Returns:
        The folder's absolute path.

    Raises:
        FileNotFoundError: the installation is broken.
    """
    from importlib.resources import files

    package = Path(str(files("mutspec"))).resolve()
    checkout = package.parent
    if (package / name).is_dir():
        return package / name
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise FileNotFoundError(f"mutspec's folder `{name}` is missing beside {package}; install mutspec again")
