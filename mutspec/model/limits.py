"""Limits on what a file may declare, checked before memory is allocated or structures are read.

What a plan makes of a model is held to the same limits, so that mutspec reads what it writes.

They are one table with a reason for each row; documentation and `--help` are generated from it. Each limit is far above
the needs of real models, and low enough that no file of under 10 MB takes 10 seconds or 500 MB to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace

from mutspec.errors import CallError, ModelError, Problem, nearest

MiB = 2**20

UNPACKED_BYTES = 256 * MiB
"""The size of unpacked values that is always accepted; above it the limit `inflation` applies."""


def _limit(default: int, unit: str, of: str, why: str) -> int:
    """Returns a row of the table; for a type checker, its number."""
    made: int = field(default=default, metadata={"unit": unit, "of": of, "why": why})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest number of each thing that a file may declare, or a step of a plan make."""

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
    extent: int = _limit(
        2**31 - 1,
        "entries",
        "a tensor along one axis, where a step of a plan makes it",
        "TensorFlow counts them in 32 bits",
    )
    new_parameters: int = _limit(
        2**34, "parameters", "the layers that an edit of a step adds, together", "in float32 they take 64 GiB"
    )
    channels: int = _limit(
        2**23,
        "channels",
        "the axes of a model of which a step changes the width, and the units that it adds",
        "each has a number of its own while a plan is compiled; a large language model has a million",
    )
    pattern_characters: int = _limit(4096, "characters", "a glob or regular expression", "RE2 compiles all of it")

    def check(self, name: str, found: int, what: str, *, is_counted: bool = True) -> None:
        """Checks a number in a file against a limit.

        Arguments:
            name: the limit.
            found: the number in the file.
            what: the thing that has this number, with the name of the file.
            is_counted: whether everything was counted; if not, counting ended above the limit.

        Raises:
            ModelError: the number is above the limit.
        """
        if found > getattr(self, name):
            raise ModelError(self.problem(name, found, what, is_counted=is_counted))

    def problem(self, name: str, found: int, what: str, *, is_counted: bool = True) -> Problem:
        """Returns the problem of a number above a limit, with a hint on how to raise the limit."""
        unit = table()[name].unit
        number = f"{found:,}" if is_counted else f"more than {getattr(self, name):,}"
        flag = f"--limit {name}={found if is_counted else 'N'}"
        return Problem(
            f"{what}: {number} {unit}, but the limit `{name}` is {getattr(self, name):,}",
            hint=f"files of Keras are far below it; if you trust this file, raise the limit: {flag}",
        )

    def of_made(self, name: str, found: int, what: str, *, is_counted: bool = True) -> Problem:
        """Returns the problem of a number above a limit in what a step makes. The arguments are those of `check`."""
        flag = f"--limit {name}={found if is_counted else 'N'}"
        hint = f"choose less; or if this is meant, raise the limit: {flag}"
        return replace(self.problem(name, found, what, is_counted=is_counted), hint=hint)


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit in documentation.

    Arguments:
        name: its name for `--limit`.
        default: its default.
        unit: its unit.
        of: the thing that is limited.
        why: the reason for the default.
    """

    name: str
    default: int
    unit: str
    of: str
    why: str


def table() -> dict[str, LimitRow]:
    """Returns all limits by name, in order."""
    return {each.name: LimitRow(each.name, int(each.default), **each.metadata) for each in fields(Limits)}  # type: ignore[arg-type]


# Files are opened in many places: by executors, sweeps and comparisons. All files of a call have the same limits, so
# these are in the call's context and not in a dozen signatures. The value is frozen, and other threads do not see it.
_DEFAULT = Limits()
_CURRENT = ContextVar("limits", default=_DEFAULT)


def current_limits() -> Limits:
    """Returns the limits of this call."""
    return _CURRENT.get()


@contextmanager
def limits(**changes: int) -> Iterator[Limits]:
    """Changes limits for the length of a `with` block, in this thread.

    Arguments:
        changes: the new limits by name; the others stay as they are.

    Yields:
        All limits of the block.

    Raises:
        CallError: no limit has that name, or its value is not a whole number of at least 1.

    Example:
        with mutspec.limits(config_bytes=2**30):
            mutspec.dry_run(plan, "huge.keras")
    """
    for name, value in changes.items():
        if name not in table():
            raise CallError(f"there is no limit `{name}`", candidates=nearest(name, table()))
        if type(value) is not int or value < 1:
            raise CallError(f"the limit `{name}` is {value!r}, not a whole number of at least 1")
    changed = replace(current_limits(), **changes)
    token = _CURRENT.set(changed)
    try:
        yield changed
    finally:
        _CURRENT.reset(token)


def changed_limits() -> dict[str, int]:
    """Returns the limits of this call that are not the default ones, to pass them on to other processes."""
    default = asdict(_DEFAULT)
    return {name: value for name, value in asdict(current_limits()).items() if value != default[name]}
