"""Model files as live Keras models: loaded by Keras, or built from what mutspec reads of them.

Like `mutspec.model.live`, this package imports Keras, and only when a function is called. What may not enter: plans and
their steps.
"""

from mutspec.model.loading.by_keras import Loaded, load_model, refuse_code
from mutspec.model.loading.by_parts import build_from_file

__all__ = ["Loaded", "build_from_file", "load_model", "refuse_code"]
