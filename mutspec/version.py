"""The version, in a module of its own, so that every room can read it without importing the Python API."""

__version__ = "0.1.0"


def engine() -> str:
    """Returns the engine's name and version."""
    return f"mutspec {__version__}"
