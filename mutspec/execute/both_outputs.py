"""An output and the file beside it: where a provenance goes, whatever is recorded in it. No plan is needed for that."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mutspec.errors import Problem
from mutspec.execute.output import SideCar, check_output
from mutspec.model.files.formats import FileKind
from mutspec.model.files.provenance_file import file_identity, sidecar_of, write_comment
from mutspec.model.provenance import MOST_BYTES, Provenance, written


def check_both_outputs(output: Path, inputs: Iterable[Path | None], *, force: bool) -> None:
    """Checks an output, and the file beside it that may hold its provenance. An old one must not stay beside a new one.

    Arguments and errors are those of `check_output`.
    """
    read = tuple(inputs)
    check_output(output, read, force=force)
    if os.path.lexists(sidecar_of(output)):
        check_output(sidecar_of(output), read, force=force)


@dataclass(frozen=True)
class OutputProvenance:
    """The provenance of an output under way, and where it goes.

    Arguments:
        kind: the kind of file that the output is.
        comment: what becomes the comment of a `.keras` file; None for none.
        sidecar: what is written into the file beside the output; None for none.
        warnings: what is missing in it.
    """

    kind: FileKind
    comment: bytes | None = None
    sidecar: Provenance | None = None
    warnings: tuple[Problem, ...] = ()

    def finish(self, descriptor: int) -> int:
        """Writes what belongs into the output, and removes what a copy of the base has of the base's provenance.

        Arguments:
            descriptor: the output, complete otherwise, open for reading and writing.

        Returns:
            By how many bytes it grew.
        """
        return write_comment(descriptor, self.comment) if self.kind is FileKind.KERAS else 0

    def beside(self, output: Path) -> SideCar:
        """Returns the file that lies beside an output, or must not."""
        provenance = self.sidecar
        if provenance is None:
            return SideCar(sidecar_of(output), None)
        return SideCar(
            sidecar_of(output), lambda made: written(replace(provenance, file=file_identity(made)), MOST_BYTES) + b"\n"
        )
