"""Widths: units that are removed, masked, added, with everything that hangs together with them."""
