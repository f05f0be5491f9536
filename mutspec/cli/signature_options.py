"""The options of commands that check who signed their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from mutspec.cli.options import FILE

Command = TypeVar("Command", bound=Callable[..., Any])


def signed_by_options(command: Command) -> Command:
    """Adds `--signed-by IDENTITY` and `--signers FILE`, passed as `signed_by` and `signers`."""
    command = click.option(
        "--signers",
        type=FILE,
        metavar="FILE",
        help="The keys of who may sign, as in git's gpg.ssh.allowedSignersFile: lines of an identity and a public key.",
    )(command)
    return click.option(
        "--signed-by",
        metavar="IDENTITY",
        help="Require that this person has signed the files, as `mutspec sign` does. Needs --signers.",
    )(command)


def check_signed(files: Iterable[Path], signed_by: str | None, signers: str | None) -> None:
    """Checks the signatures that a call requires; without `--signed-by` it requires none.

    Arguments:
        files: the files that must be signed.
        signed_by: who must have signed them.
        signers: the file of allowed signers.

    Raises:
        CheckError: one is not signed by that person as it is.
        CallError: a file is missing.
        EnvironmentProblem: there is no ssh-keygen.
    """
    if signed_by is None and signers is None:
        return
    if signed_by is None or signers is None:
        missing = "--signed-by IDENTITY" if signed_by is None else "--signers FILE"
        raise click.UsageError(f"--signed-by and --signers belong together; give {missing} too")
    from mutspec.recipes.signatures import check

    for file in files:
        check(file, signed_by, Path(signers))
