"""Data that models are evaluated on: loaded by the functions that the group `data` names, and checked.

What may not enter: models and results. Configurations name the functions that come with mutspec by this room:
`_target_: mutspec.experiment.data.npz`.
"""

from mutspec.experiment.data.sources import csv, digits, digits_split, images, named_arrays, npz

__all__ = ["csv", "digits", "digits_split", "images", "named_arrays", "npz"]
