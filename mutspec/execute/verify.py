"""Whether the files that a run reads are what they state, and stay what they were.

A member's CRC-32 is checked only where the plan reads a tensor of it, and then as a whole, as it cannot be checked in
part. Of the model that is mutated, the check is made on the output. Its stated CRC-32 is the input's, patched by what
the writes changed; so it is that of the bytes if, and only if, the input was whole and all that was written is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from mutspec.access.read import Readable
from mutspec.access.threads import default_threads
from mutspec.errors import CheckError, EnvironmentProblem, ModelError, Problem
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive, Member
from mutspec.model.files.crc import crc32_of_range
from mutspec.model.files.damage import COPY_AGAIN, COPY_AGAIN_OR_GO_ON, damage, is_damaged

_NAMED = 3
"""The most tensors that an error names; the others are counted."""


@dataclass(frozen=True)
class Verification:
    """The files of a run, and what must hold of them when it is done.

    Arguments:
        program: what is computed.
        archives: the files that are read, by the names that the plan has for them; "" is the model that is mutated.
        is_wanted: whether checksums are checked. That a file does not change while it is read always is.
        threads: how many parts of a file are read at once.
    """

    program: Program
    archives: Mapping[str, Archive]
    is_wanted: bool
    threads: int

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Guards what is computed within: if a file changed, or made an error by its damage, that is the error.

        Raises:
            ModelError: a file changed while it was read, or is damaged.
        """
        try:
            yield
        except Exception as error:
            self._check_unchanged()
            if isinstance(error, CheckError):  # values of damaged files may be anything
                self.check(*self.archives)
            raise
        self._check_unchanged()

    def check(self, *names: str, hint: str = COPY_AGAIN_OR_GO_ON) -> None:
        """Holds the checksums of input files against what they state; of those that the plan reads.

        Arguments:
            names: which files.
            hint: what to do if one is damaged.

        Raises:
            ModelError: one is damaged.
        """
        for name in names:
            archive = self.archives[name]
            if archive.member is None or not self.is_wanted or name not in self._read:
                continue
            if is_damaged(archive, self.threads):
                found = damage(archive.path, archive.member)
                raise ModelError(f"{found}; {self._consequence(name)}", hint=hint)

    def check_inputs(self) -> None:
        """The same for all files but the model that is mutated."""
        self.check(*(name for name in self.archives if name))

    def check_output(self, descriptor: int, member: Member | None) -> None:
        """Holds an output, which began as a copy of the model's file, against the checksum that it states.

        Meanwhile the system writes it to the disk.

        Arguments:
            descriptor: the output, open for reading and writing.
            member: what it states of the member with the weights; None if it is not a zip.

        Raises:
            ModelError: the model's file is damaged.
            EnvironmentProblem: that is whole, so what was written is not what can be read.
        """
        if not self.is_wanted or member is None or "" not in self._read:
            return
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(os.fsync, descriptor)
            crc32 = crc32_of_range(descriptor, member.offset, member.bytes, self.threads)
            writing.result()
        if crc32 != member.crc32:
            self.check("")
            raise EnvironmentProblem(
                "the disk does not hold what was written to it", hint="check the disk and the memory; nothing was kept"
            )

    def _check_unchanged(self) -> None:
        for archive in self.archives.values():
            archive.check_unchanged()

    @cached_property
    def _read(self) -> frozenset[str]:
        """The names of the models of which a tensor is read."""
        nodes = self.program.graph.nodes
        return frozenset(node.attribute("model") for node in nodes if node.primitive == "base")

    def _consequence(self, model: str) -> str:
        """Which tensors may be wrong: a CRC-32 does not tell where the damage is."""
        tensors = tensors_read(self.program, model)
        steps = list(dict.fromkeys(step for some in tensors.values() for step in some))
        names = [f"`{path}`" for path in tensors]
        more = len(names) - _NAMED
        shown = _listing([*names[:_NAMED], f"{more:,} more"] if more > 1 else names)
        readers = f"step{'s' if len(steps) > 1 else ''} {_listing([f'`{step}`' for step in steps])}"
        verb = "read" if len(steps) > 1 else "reads"
        return f"{shown}, which {readers} {verb}, may be wrong" if steps else f"{shown} may be wrong"


def damages(models: Iterable[Readable]) -> Iterator[Problem]:
    """A warning for each of some models that is a file whose weights are damaged.

    Raises:
        ModelError: a file was changed while it was read.
    """
    for model in models:
        if not isinstance(model, Archive) or model.member is None:
            continue
        is_wrong = is_damaged(model, default_threads())
        model.check_unchanged()
        if is_wrong:
            message = f"{damage(model.path, model.member)}; its weights may be wrong"
            yield Problem(message, hint=COPY_AGAIN, is_warning=True)


def tensors_read(program: Program, model: str) -> Mapping[str, Sequence[str]]:
    """The tensors of an input model that a program reads, each with the ids of the steps that do.

    A step reads what its own results are made of; what an earlier step made of it belongs to that one.
    """
    graph = program.graph
    made = {version.node for version in graph.versions}
    found: dict[str, list[str]] = {}
    for number, step in enumerate(program.steps):
        mine = [version for version in graph.versions if version.step == number]
        roots = [version.node for version in mine]
        roots += [version.before for version in mine if version.before not in made]
        for path in _bases_below(program, roots, made, model):
            found.setdefault(path, []).append(step.id)
    for path in _bases_below(program, list(graph.created.values()), made, model):
        found.setdefault(path, [])
    return found


def _bases_below(program: Program, roots: Sequence[int], made: set[int], model: str) -> Iterator[str]:
    """The tensors of a model from which some nodes are made, in the order in which the plan came to them."""
    nodes = program.graph.nodes
    pending, seen = list(roots), set(roots)
    while pending:
        below = [number for number in nodes[pending.pop()].inputs if number not in seen and number not in made]
        seen.update(below)
        pending += below
    for node in (nodes[number] for number in sorted(seen)):
        if node.primitive == "base" and node.attribute("model") == model:
            yield node.attribute("path")


def _listing(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
