"""Model files brought to life in Keras: loaded by Keras, or built of what mutspec reads of them.

Like `mutspec.model.live` it imports Keras, and only when it is called.
"""

from mutspec.model.loading.by_keras import Loaded, load_model, refuse_code
from mutspec.model.loading.by_parts import build_from_file

__all__ = ["Loaded", "build_from_file", "load_model", "refuse_code"]
