"""The command line: parsing calls, drawing results, mapping errors to exit codes.

Only this room prints, colours and exits; everything that it shows it got as values from the rooms below. A command is a
module under `commands`, imported when it runs, and a line in the table `main.COMMANDS`.
"""

from mutspec.cli.main import main

__all__ = ["main"]
