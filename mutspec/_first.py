"""Keeps `python -m mutspec` from importing modules of the current folder. It is imported before anything else.

For `-m`, Python puts the current folder first on its path, so a stray `copy.py` or `keras.py` there would be executed.
While Python looks for the module to run, `sys.argv` begins with `-m`.
"""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and {"mutspec", "-mmutspec"} & set(sys.orig_argv):
    del sys.path[0]
