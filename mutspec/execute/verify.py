"""Checks that the files that a run reads match their checksums, and do not change meanwhile.

A member's CRC-32 is checked only if the plan reads a tensor of it, and then for the whole member, as it cannot be
checked in part. For the mutated model, the check is made on the output. Its stated CRC-32 is the input's, patched by
what the writes changed. So it matches the bytes if, and only if, the input was whole and all writes are there.
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
    """The files of a run, and the checks of them.

    Arguments:
        program: what is computed; None if all tensors of each file are read.
        archives: the files that are read, by their names in the plan; "" is the model that is mutated.
        is_wanted: whether checksums are checked. Changes of a file while it is read are always checked.
        threads: how many parts of a file are read at once.
    """

    program: Program | None
    archives: Mapping[str, Archive]
    is_wanted: bool
    threads: int

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Runs a block. If a file changed, or its damage led to an error, that is raised instead.

        Raises:
            ModelError: a file changed while it was read, or is damaged.
        """
        try:
            yield
        except Exception as error:
            self._check_unchanged()
            if isinstance(error, CheckError):  # damaged files may hold any values
                self.check(*self.archives)
            raise
        self._check_unchanged()

    def check(self, *names: str, hint: str = COPY_AGAIN_OR_GO_ON) -> None:
        """Compares the checksums of the input files that the plan reads with those that they state.

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
        """Does the same for all files except the model that is mutated."""
        self.check(*(name for name in self.archives if name))

    def check_output(self, descriptor: int, member: Member | None) -> None:
        """Checks an output that began as a copy of the model's file by the checksum that it states.

        Meanwhile the system writes the output to the disk.

        Arguments:
            descriptor: the output, open for reading and writing.
            member: what it states of the member with the weights; None if it is not a zip.

        Raises:
            ModelError: the model's file is damaged.
            EnvironmentProblem: the model's file is whole, so the output reads back differently from what was written.
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
        if self.program is None:
            return frozenset(self.archives)
        nodes = self.program.graph.nodes
        kept = [""] if self.program.is_structural else []  # the mutant takes over what no step changes
        return frozenset([*kept, *(node.attribute("model") for node in nodes if node.primitive == "base")])

    def _consequence(self, model: str) -> str:
        """Says which tensors may be wrong. A CRC-32 does not tell where the damage is."""
        if self.program is None:
            return "its weights may be wrong"
        tensors = tensors_read(self.program, model)
        if model == "" and self.program.is_structural:
            return "the mutant's weights may be wrong"
        steps = list(dict.fromkeys(step for some in tensors.values() for step in some))
        names = [f"`{path}`" for path in tensors]
        more = len(names) - _NAMED
        shown = _listing([*names[:_NAMED], f"{more:,} more"] if more > 1 else names)
        readers = f"step{'s' if len(steps) > 1 else ''} {_listing([f'`{step}`' for step in steps])}"
        verb = "read" if len(steps) > 1 else "reads"
        return f"{shown}, which {readers} {verb}, may be wrong" if steps else f"{shown} may be wrong"


def damages(models: Iterable[Readable]) -> Iterator[Problem]:
    """Yields a warning for each model that is a file with damaged weights.

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
    """Returns the tensors of an input model that a program reads, each with the ids of the steps that read it.

    A tensor counts for the step that uses it directly, not for later steps that use the result of that step.
    """
    graph = program.graph
    made = {version.node for version in graph.versions}
    found: dict[str, list[str]] = {}
    for number, step in enumerate(program.steps):
        mine = [version for version in graph.versions if version.step == number]
        roots = [version.node for version in mine]
        roots += [version.before for version in mine if version.before not in made]
        roots += step.asked
        for path in _bases_below(program, roots, made, model):
            found.setdefault(path, []).append(step.id)
    for path in _bases_below(program, list(graph.created.values()), made, model):
        found.setdefault(path, [])
    return found


def _bases_below(program: Program, roots: Sequence[int], made: set[int], model: str) -> Iterator[str]:
    """Yields the tensors of a model from which some nodes are made, in the order in which the plan uses them."""
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
