"""The version, where every room can read it without the Python API that stands above them."""

__version__ = "0.1.0"


def engine() -> str:
    """The engine's name and version."""
    return f"mutspec {__version__}"
