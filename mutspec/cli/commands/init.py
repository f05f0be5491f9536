"""`mutspec init`: makes a new recipe repository."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mutspec.cli.options import FILE, quiet_option
from mutspec.cli.stdout import write
from mutspec.text.visible import in_one_line


@click.command("init")
@click.argument("folder", metavar="DIR", type=FILE)
@click.option("--name", default="", metavar="NAME", help="The name of the repository.  [default: that of DIR]")
@quiet_option
def command(folder: str, name: str, is_quiet: bool) -> None:
    """Make a recipe repository that works at once: a recipe, its test and its lock, on a small model.

    With it come a sweep for `mutspec run`, checks for pre-commit and for GitHub, the schemas for editors, the settings
    by which `git diff` shows what changed in a model, and a README that explains each command. All files are written,
    or none. DIR may hold other files, which stay as they are; if it has one of these files, nothing is written.

    \b
    Examples:
      mutspec init recipes-of-my-team
      mutspec init .
      mutspec init vision --name 'Recipes of the vision team'
    """  # noqa: D301
    from mutspec.recipes.scaffold import make_repository

    made = make_repository(Path(folder), name)
    if is_quiet:
        return
    place = in_one_line(shlex.quote(folder))
    lines = [f"Made a recipe repository in {in_one_line(folder)}:", *(f"  {path}" for path in made.files), ""]
    lines += ["Next:", *([] if folder == "." else [f"  cd {place}"])]
    lines += ["  mutspec test", "  cat README.md"]
    write("\n".join(lines))
