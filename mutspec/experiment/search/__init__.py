"""Searches along a scale: where something that holds begins to break."""
