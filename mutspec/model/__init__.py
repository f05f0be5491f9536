"""Models as data: specs, selectors, and pure functions from configurations to specs.

`files` reads model files, `live` reads and builds Keras models, `loading` makes live models of files. What may not
enter: values of weights, plans and their steps; Keras and TensorFlow outside `live` and `loading`. Importing this
package imports neither NumPy nor h5py: the readers that need them are imported when a file is opened.
"""

from mutspec.keras_facts.roles import LEARNED, Group
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef, TensorSpec

__all__ = ["LEARNED", "Call", "Group", "LayerSpec", "ModelSpec", "TensorRef", "TensorSpec"]
