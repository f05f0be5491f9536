"""Live Keras models: read, rebuilt, saved, and asked about shapes.

Keras is imported here and in `mutspec.model.loading` alone, and only when a function is called. What may not enter:
plans and their steps.
"""

from mutspec.model.live.activations import mean_activations
from mutspec.model.live.backend import import_keras, quiet_imports
from mutspec.model.live.cut import ModelCut, cut_before
from mutspec.model.live.input_arrays import input_arrays
from mutspec.model.live.live_model import LiveModel, read_live, variables_of
from mutspec.model.live.predictions import InputPort, input_ports, predict
from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice
from mutspec.model.live.rebuild import Rebuilt, custom_classes, is_registered, rebuild, refresh
from mutspec.model.live.saving import first_operation, write_keras, write_legacy
from mutspec.model.live.variable_values import as_array, assign, room_for, snapshot

__all__ = [
    "ModelCut",
    "InputPort",
    "LiveModel",
    "Rebuilt",
    "as_array",
    "assign",
    "building_alone",
    "custom_classes",
    "cut_before",
    "first_operation",
    "import_keras",
    "input_arrays",
    "input_ports",
    "is_registered",
    "mean_activations",
    "quiet_imports",
    "predict",
    "read_live",
    "rebuild",
    "refresh",
    "room_for",
    "snapshot",
    "variables_of",
    "without_advice",
    "write_keras",
    "write_legacy",
]
