"""Patches: what turns one model file into another, as a small file, and back.

A patch holds the weights that differ, bit by bit, and both architectures where these differ. It knows both models by
their fingerprints. Plans, ops and Keras do not enter this room: the writers that it shares
with plans are given no program.
"""

from mutspec.patches.apply import apply_patch
from mutspec.patches.make import PatchSummary, check_patch_output, write_patch
from mutspec.patches.report import PatchReport

__all__ = ["PatchReport", "PatchSummary", "apply_patch", "check_patch_output", "write_patch"]
