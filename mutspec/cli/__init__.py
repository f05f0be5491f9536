"""The command line: parses calls, shows results, maps errors to exit codes.

Only this room prints, colours and exits. It shows values that it gets from the rooms below. A command is a module under
`commands`, imported when it runs, and a line in the table `main.COMMANDS`. What may not enter: work that the Python API
needs too.
"""

try:
    from mutspec.cli.main import main
except KeyboardInterrupt:  # so early that nothing has begun, and there is nothing to say
    raise SystemExit(130) from None

__all__ = ["main"]
