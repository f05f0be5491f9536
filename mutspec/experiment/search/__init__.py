"""Searches along a scale: where something that holds begins to break.

What may not enter: Hydra, and reports.
"""
