"""Limits: how much of what a file declares is believed before it is allocated or walked.

One table, with a reason for each row; documentation and `--help` are made from it. A limit is far above what real
models need, and far below what hurts: with all of them, no file of under 10 MB takes 10 seconds or 500 MB to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace

from mutspec.errors import CallError, ModelError, Problem, nearest

MiB = 2**20

UNPACKED_BYTES = 256 * MiB
"""What values may always take when they are unpacked; above it `inflation` counts."""


def _limit(default: int, unit: str, of: str, why: str) -> int:
    """A row of the table; to a type checker it is its number."""
    made: int = field(default=default, metadata={"unit": unit, "of": of, "why": why})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most of each thing that a file may declare."""

    config_bytes: int = _limit(
        16 * MiB, "bytes", "the JSON of a configuration", "NASNetLarge has 1.3 MB; a vocabulary of a million words fits"
    )
    config_values: int = _limit(
        500_000,
        "values",
        "the lists, mappings, numbers and texts of a configuration",
        "NASNetLarge has 70,000; each takes some 300 bytes once it is read",
    )
    config_depth: int = _limit(
        256, "levels", "nesting of a configuration's JSON", "a layer in a layer takes three; code recurses over them"
    )
    layers: int = _limit(5000, "layers", "a model, layers in layers included", "NASNetLarge has 1,041")
    layer_depth: int = _limit(64, "levels", "layers in layers", "real models nest 4 deep")
    name_characters: int = _limit(
        1024, "characters", "the name of a layer, a group or a dataset", "names are listed, compared and suggested"
    )
    path_characters: int = _limit(
        4096,
        "characters",
        "the path of a layer with those that it is in, or of a member",
        "each layer and weight has its own",
    )
    zip_members: int = _limit(
        10_000, "members", "a zip file", "Keras writes three, and one or two for each layer with a vocabulary"
    )
    zip_directory_bytes: int = _limit(
        16 * MiB,
        "bytes",
        "the directory of a zip file",
        "10,000 members with names of 1,600 characters; it is read whole",
    )
    hdf5_objects: int = _limit(
        50_000, "objects", "groups and datasets of an HDF5 file", "a model of 5,000 weights has 25,000, with Adam's"
    )
    hdf5_depth: int = _limit(
        200, "levels", "groups in groups of an HDF5 file", "64 layers in layers take 192; HDF5 needs the square of it"
    )
    hdf5_metadata_bytes: int = _limit(
        32 * MiB,
        "bytes",
        "the paths and attributes of an HDF5 file, together",
        "a whole model's configuration is an attribute; paths repeat the names of all groups above",
    )
    hdf5_chunk_bytes: int = _limit(
        64 * MiB, "bytes", "one chunk of a chunked dataset", "HDF5 unpacks whole chunks; h5py makes them of 1 MB"
    )
    hdf5_seconds: int = _limit(
        8, "seconds", "processor time in HDF5, metadata only", "ResNet50 takes 0.1; a damaged file can loop for ever"
    )
    hdf5_memory_bytes: int = _limit(
        256 * MiB, "bytes", "memory in HDF5, metadata only", "ResNet50 takes 3 MB; a damaged file can ask for anything"
    )
    shards: int = _limit(500, "files", "weights in several files", "Keras makes shards of 5 GB unless it is told to")
    checkpoint_index_bytes: int = _limit(
        16 * MiB, "bytes", "the index of a TensorFlow checkpoint", "each weight takes some 100; it is read whole"
    )
    inflation: int = _limit(
        100,
        "times",
        "how far values may grow when they are unpacked, above 256 MiB",
        "Keras stores them as they are; deflate packs zeros 1,000 times, and an unwritten dataset has no size at all",
    )
    pattern_characters: int = _limit(4096, "characters", "a glob or regular expression", "RE2 compiles all of it")

    def check(self, name: str, found: int, what: str, *, is_counted: bool = True) -> None:
        """Hold what a file declares against a limit.

        Arguments:
            name: the limit.
            found: what was found.
            what: what it was found in or of, the file included.
            is_counted: whether all of it was counted; if not, counting ended beyond the limit.

        Raises:
            ModelError: it is above the limit.
        """
        if found > getattr(self, name):
            raise ModelError(self.problem(name, found, what, is_counted=is_counted))

    def problem(self, name: str, found: int, what: str, *, is_counted: bool = True) -> Problem:
        """What is said of something that is above a limit: how much it is, of what, and how to raise the limit."""
        unit = table()[name].unit
        number = f"{found:,}" if is_counted else f"more than {getattr(self, name):,}"
        flag = f"--limit {name}={found if is_counted else 'N'}"
        return Problem(
            f"{what}: {number} {unit}, and the limit `{name}` is {getattr(self, name):,}",
            hint=f"Keras writes nothing near it; if you trust the file, raise the limit: {flag}",
        )


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit as documentation shows it.

    Arguments:
        name: what `--limit` calls it.
        default: its value.
        unit: what it counts.
        of: of what.
        why: why it is where it is.
    """

    name: str
    default: int
    unit: str
    of: str
    why: str


def table() -> dict[str, LimitRow]:
    """All limits by name, in order."""
    return {each.name: LimitRow(each.name, int(each.default), **each.metadata) for each in fields(Limits)}  # type: ignore[arg-type]


# Files are opened in many places: by the executors, by sweeps, by what compares. All of one call are opened under the
# same limits, so these come from the call's context and not through a dozen signatures; a value there is frozen, and
# other threads and calls do not see it.
_DEFAULT = Limits()
_CURRENT = ContextVar("limits", default=_DEFAULT)


def current_limits() -> Limits:
    """The limits of this call."""
    return _CURRENT.get()


@contextmanager
def limits(**changes: int) -> Iterator[Limits]:
    """Read files under other limits for the length of a `with` block, in this thread.

    Example:
        with mutspec.limits(config_bytes=2**30):
            mutspec.dry_run(plan, "huge.keras")

    Arguments:
        changes: the new limits by name; the others stay as they are.

    Raises:
        CallError: there is no such limit, or its value is not a whole number from 1 on.

    Yields:
        All limits that hold within.
    """
    for name, value in changes.items():
        if name not in table():
            raise CallError(f"there is no limit `{name}`", candidates=nearest(name, table()))
        if type(value) is not int or value < 1:
            raise CallError(f"the limit `{name}` is {value!r}", hint="give a whole number from 1 on")
    changed = replace(current_limits(), **changes)
    token = _CURRENT.set(changed)
    try:
        yield changed
    finally:
        _CURRENT.reset(token)


def changed_limits() -> dict[str, int]:
    """The limits of this call that are not the default ones, for who passes them on to other processes."""
    default = asdict(_DEFAULT)
    return {name: value for name, value in asdict(current_limits()).items() if value != default[name]}
