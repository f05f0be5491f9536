"""Files that Keras 2 wrote, where Keras 3 builds the mutant: what is refused, and what the user is warned of."""

from __future__ import annotations

from mutspec.errors import ModelError, Problem
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS
from mutspec.model.old_configs import is_of_keras_2, only_in_keras_2, operation_in_h5


def is_by_keras_2(archive: Archive) -> bool:
    """Tells whether Keras 2 wrote a file. Whole models of Keras 3 state a version; weights alone may not."""
    states_version = bool(archive.keras_version) or FORMATS[archive.kind].is_whole
    return states_version and is_of_keras_2(archive.keras_version)


def refuse_what_is_gone(archive: Archive) -> None:
    """Refuses a model that holds what Keras 3 cannot build, or cannot load from such a file.

    Raises:
        ModelError: it does; the message says what it is.
    """
    if operation := operation_in_h5(archive.config):
        raise ModelError(
            f"Keras cannot load {archive.path}: {operation} is an operation, which an .h5 file does not describe",
            hint="save the model as .keras with the code that built it; steps on weights work on the file as it is",
        )
    if reason := only_in_keras_2(archive.config):
        raise ModelError(
            f"Keras 3 cannot build the model in {archive.path}: {reason}, which is not in Keras 3",
            hint="steps on weights work on the file as it is",
        )


def will_be_of_keras_3(archive: Archive) -> tuple[Problem, ...]:
    """Returns the warning that a mutant has another version of Keras than its base, if Keras builds it."""
    if not is_by_keras_2(archive):
        return ()
    message = f"{archive.path.name} was written by Keras {archive.keras_version or 2}, and the mutant is Keras 3's"
    return (Problem(message, hint="Keras 2 does not load what Keras 3 writes", is_warning=True),)
