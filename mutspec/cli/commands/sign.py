"""`mutspec sign`: signs files with an OpenSSH key."""

from __future__ import annotations

from pathlib import Path

import click

from mutspec.cli.options import FILE, force_option, quiet_option
from mutspec.cli.stdout import width, write


@click.command("sign")
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--key", type=FILE, required=True, metavar="KEY", help="The OpenSSH key, such as ~/.ssh/id_ed25519.")
@force_option
@quiet_option
def command(files: tuple[str, ...], key: str, force: bool, is_quiet: bool) -> None:
    """Sign plans, locks, tests, patches or models with an OpenSSH key: the signature of FILE is FILE.sig.

    ssh-keygen does it (OpenSSH 8.2 or newer), and asks for the passphrase of the key. A public key stands for the
    private one that the SSH agent has. Anyone who has the file of allowed signers can check a signature:

    \b
      ssh-keygen -Y verify -n mutspec -f signers -I alice@example.org -s FILE.sig < FILE

    \b
    Examples:
      mutspec sign dense_noise.yaml dense_noise.lock.yaml --key ~/.ssh/id_ed25519
      mutspec sign mutant.keras --key release.pub --force
    """  # noqa: D301
    from mutspec.execute.output import telling_written
    from mutspec.recipes.signatures import check_signable, sign
    from mutspec.text.layout import sentence

    paths = [Path(file) for file in dict.fromkeys(files)]
    for path in paths:
        check_signable(path, Path(key), force=force)
    for path in paths:
        signature = sign(path, Path(key), force=force)
        with telling_written(signature):
            if not is_quiet:
                write(sentence(f"Wrote {signature}", width=width()))
