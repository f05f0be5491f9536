"""The beginning of scripts that are to run without TensorFlow and Keras."""

from __future__ import annotations

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tensorflow", "keras", "tf_keras"}:
            raise ImportError(f"{name} is not to be imported")
sys.meta_path.insert(0, Blocker())
"""
