"""Data that models are evaluated on: loaded by the functions that the group `data` names, and checked.

The functions that come with mutspec are named by this room: `_target_: mutspec.experiment.data.npz`.
"""

from mutspec.experiment.data.sources import csv, digits, digits_split, images, npz

__all__ = ["csv", "digits", "digits_split", "images", "npz"]
