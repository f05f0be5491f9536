"""The folders that are shipped with the code: `conf` (recipes, models, Hydra configuration) and `schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource_folder(name: Literal["conf", "schemas"]) -> Path:
    """Finds a shipped folder, in an installed wheel as well as in a checkout.

    In a wheel the folders are inside the package; in a checkout (also an editable install) they are at the top level,
    where people look for them.

    Arguments:
        name: the folder's name.

    Returns:
        The folder's absolute path.

    Raises:
        FileNotFoundError: the folder is missing, so the installation is broken.
    """
    from importlib.resources import files

    package = Path(str(files("mutspec"))).resolve()
    checkout = package.parent
    if (package / name).is_dir():
        return package / name
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise FileNotFoundError(
        f"mutspec's folder `{name}` is missing from the installation in {package}; reinstall mutspec"
    )


def shipped_recipe(name: str) -> Path | None:
    """Returns the recipe of a name that ships with mutspec; None if there is none."""
    if not name.isidentifier():
        return None
    recipe = resource_folder("conf") / "plan" / f"{name}.yaml"
    return recipe if recipe.is_file() else None
