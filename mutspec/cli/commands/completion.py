"""`mutspec completion`: prints what makes a shell complete commands, options and names of ops."""

from __future__ import annotations

import click

VARIABLE = "_MUTSPEC_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      mutspec completion bash > ~/.local/share/bash-completion/completions/mutspec
      mutspec completion zsh  > ~/.zfunc/_mutspec        # with ~/.zfunc in $fpath
      mutspec completion fish > ~/.config/fish/completions/mutspec.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    from mutspec.cli.main import cli

    completion = get_completion_class(shell)
    assert completion is not None
    script = completion(cli, {}, "mutspec", VARIABLE)
    click.echo(script.source_template % script.source_vars())
