"""Keras's classes that run code or read files, and the modules whose functions and classes are safe. Pure data.

`tests/structure/test_allowed.py` compares it with the installed Keras.
"""

from __future__ import annotations

from collections.abc import Mapping

READ_FILES: Mapping[str, str] = {
    "IntegerLookup": "vocabulary",
    "StringLookup": "vocabulary",
    "TFSMLayer": "filepath",
    "TextVectorization": "vocabulary",
}
"""Classes that read a file, and the argument that names it. The argument may also be a list of words."""

LOAD_CODE = frozenset({"TFSMLayer", "TorchModuleWrapper"})
"""Classes that run code that they load, whatever their arguments are."""

COMPUTING_MODULES = frozenset(
    {"activations", "constraints", "initializers", "losses", "metrics", "ops", "random", "regularizers"}
)
"""The modules below `keras`, or `keras.src`, whose functions only compute."""

CLASS_MODULES = frozenset(
    {"backend", "dtype_policies", "engine", "export", "layers", "legacy", "models", "optimizers", "quantizers", "utils"}
)
"""The other modules with classes that models consist of. A module such as `visualization` has none."""

CLASSES_OF_APPLICATIONS = frozenset(
    {"convnext.LayerScale", "convnext.StochasticDepth", "inception_resnet_v2.CustomScaleLayer"}
)
"""The layers in `keras.src.applications`, by module. What else is there are functions, some of which load files."""
