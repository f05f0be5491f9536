"""The version, where every room can read it without the Python API that stands above them."""

__version__ = "0.1.0"
