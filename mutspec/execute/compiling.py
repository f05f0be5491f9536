"""Compiles a plan for files, before anything is known of how the mutant's file will be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mutspec.execute.keras_2 import refuse_what_is_gone
from mutspec.execute.prepare import Prepared, prepare
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS

if TYPE_CHECKING:
    from mutspec.model.loading import Loaded


def compiled(
    plan: Plan[Op],
    archive: Archive,
    inputs: Mapping[str, Archive],
    *,
    unsafe: bool,
    verify: bool = True,
    data: Any = None,
) -> tuple[Prepared, Loaded | None]:
    """Compiles a plan for files.

    Returns:
        The compiled plan, and the model that Keras had to load for that, if any.

    Raises:
        ModelError: the plan changes the structure of a model that no Keras 3 can build.
        PlanError: the plan does not fit the model.
    """
    if not is_structural(plan):
        return prepare(plan, archive, inputs, unsafe=unsafe, data=data), None
    refuse_what_is_gone(archive)
    if not (FORMATS[archive.kind].is_whole and any(each.config.get("lora_rank") for each in archive.spec.layers)):
        return prepare(plan, archive, inputs, unsafe=unsafe, data=data), None
    from mutspec.execute.loading import model_of
    from mutspec.model.live import read_live

    # LoRA's adapters are not in the file, but Keras makes them again.
    loaded = model_of(archive, unsafe=unsafe, verify=verify)
    return prepare(plan, read_live(loaded.model), inputs, unsafe=unsafe, data=data), loaded
