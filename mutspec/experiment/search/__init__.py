"""Searches along a scale for the point at which something that holds begins to break."""
