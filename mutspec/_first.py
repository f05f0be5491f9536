"""What must happen before anything else is imported: `python -m mutspec` takes no module from its folder.

Python puts that folder first on its path for `-m`, so that a stray `copy.py` or `keras.py` in it would be executed.
While it looks for the module to run, it says so in `sys.argv`.
"""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and {"mutspec", "-mmutspec"} & set(sys.orig_argv):
    del sys.path[0]
