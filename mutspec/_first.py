"""Prepares the process, before the rest of the package is imported.

`python -m mutspec` imports no modules of the current folder: for `-m`, Python puts it first on its path, so a stray
`copy.py` or `keras.py` there would be executed. While Python looks for the module to run, `sys.argv` begins with `-m`.

The command `mutspec` says "interrupted" while it is still importing, too, when nothing has begun. A KeyboardInterrupt
would show a traceback, or be lost in a callback of the import system.
"""

import os
import signal
import sys
from typing import NoReturn

_IS_MODULE = sys.argv[:1] == ["-m"] and bool({"mutspec", "-mmutspec"} & set(sys.orig_argv))

if _IS_MODULE and not sys.flags.safe_path:
    del sys.path[0]


def _end(number: int, _: object) -> NoReturn:
    os.write(2, b"\nmutspec: interrupted\n")
    os._exit(128 + number)


_is_command = _IS_MODULE or os.path.basename(sys.argv[0] if sys.argv else "") in ("mutspec", "mutspec.exe")
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)  # until `mutspec.cli.main.main` begins


def hand_back_interrupts() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt again, for work that is to be cleaned up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
