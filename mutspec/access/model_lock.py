"""Locks of Keras models: they decide which thread may read or mutate which model.

One thread holds a model while it mutates it. Any number of threads may hold a model that they only read. Others wait. A
lock covers the model and its variables, so submodels, and models that share layers, are locked with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Condition, Thread, current_thread
from typing import Any

from mutspec.errors import CallError
from mutspec.model.live import LiveModel, variables_of


@dataclass(eq=False)
class Hold:
    """Some models, held by a thread.

    Arguments:
        mutates: the models that it may mutate, and their variables.
        reads: the models that it only reads, and their variables.
        name: the name of a model, for messages.
        undo: restores what was mutated.
        thread: the thread that holds them.
        task: the task of asyncio that holds them, if one runs.
        is_cut_short: whether it was undone before its own end, because a block around it was left first.
        is_inherited: whether it was open when this process was forked.
    """

    mutates: tuple[object, ...]
    reads: tuple[object, ...]
    name: str
    undo: Callable[[], None] = lambda: None
    thread: Thread = field(default_factory=current_thread)
    task: Any = field(default_factory=lambda: _current_task())
    is_cut_short: bool = False
    is_inherited: bool = False

    def __post_init__(self) -> None:
        """Stores the identities by which holds are compared. The tuples keep Python from reusing them."""
        self._mutated = frozenset(map(id, self.mutates))
        self._read = frozenset(map(id, self.reads))

    def excludes(self, other: Hold) -> bool:
        """Tells whether different threads cannot hold both at once."""
        return not (
            self._mutated.isdisjoint(other._mutated)
            and self._mutated.isdisjoint(other._read)
            and self._read.isdisjoint(other._mutated)
        )

    def read_no_more(self) -> None:
        """Lets other threads mutate the models that are only read."""
        with _HOLDS.changed:
            self._read = frozenset()
            _HOLDS.changed.notify_all()


@contextmanager
def hold(*, mutates: Iterable[object] = (), reads: Iterable[object] = ()) -> Iterator[Hold]:
    """Holds models for the length of a `with` block. A thread that holds a model may hold it again.

    At its end the block calls `undo`, and ends the holds inside it that are still open.

    Arguments:
        mutates: keras.Models, or LiveModels, that the block mutates.
        reads: those that it only reads. What has no variables, such as a file, is left out.

    Raises:
        CallError: waiting for the models would never end; they were held when this process was forked; another task of
            this thread holds them; or blocks were left in another order than that in which they nest.
    """
    mutates, reads = tuple(mutates), tuple(reads)
    held = Hold(_parts(mutates), _parts(reads), next(filter(None, map(_name, (*mutates, *reads))), "model"))
    try:
        _HOLDS.take(held)
        yield held
        _end(held)
    except GeneratorExit:  # a generator is closed inside the block: this is a normal end, as below
        _end(held)
        raise
    except BaseException:
        _HOLDS.leave(held)
        raise


def _end(held: Hold) -> None:
    """Leaves a block in which nothing went wrong.

    Raises:
        CallError: it is left in another order than that in which blocks nest.
    """
    if cut_short := _HOLDS.leave(held):
        raise CallError(
            f"the block that mutates `{held.name}` was left before {cut_short} opened inside it; "
            "the model is as it was before the block",
            hint="leave blocks in the reverse order",
        )
    if held.is_cut_short:
        raise CallError(
            f"`{held.name}` was restored before the end of this block, as the block around it was left first",
            hint="leave blocks in the reverse order",
        )


class _Holds:
    """All holds of this process, and those that wait."""

    def __init__(self) -> None:
        self.changed = Condition()
        self._open: list[Hold] = []
        self._waiting: list[Hold] = []

    def take(self, wanted: Hold) -> None:
        """Waits until no other hold excludes it. All models are taken at once, so that calls cannot deadlock."""
        with self.changed:
            self._waiting.append(wanted)
            try:
                while blockers := self._blockers(wanted):
                    self._refuse_endless(wanted, blockers)
                    self.changed.wait()
                self._open.append(wanted)
            finally:
                self._waiting.remove(wanted)
                self.changed.notify_all()  # wakes those that follow it in the queue

    def leave(self, held: Hold) -> str:
        """Undoes a hold and what was opened inside it, innermost first, and lets others have the models.

        Returns:
            Words for the holds that were opened inside and are cut short; empty if there are none.
        """
        with self.changed:
            if held not in self._open:  # it was never taken, or is cut short
                return ""
            inside = self._inside(held)
            for each in inside:
                each.is_cut_short = True
        try:
            with ExitStack() as stack:
                for each in (held, *inside):
                    stack.callback(each.undo)
        finally:
            with self.changed:
                self._open = [each for each in self._open if each is not held and each not in inside]
                self.changed.notify_all()
        return {0: "", 1: "another that was"}.get(len(inside), f"{len(inside)} others that were")

    def forget_other_threads(self) -> None:
        """Starts with a new state in a forked child, in which the other threads do not exist."""
        self.changed = Condition()
        self._waiting = []
        for each in self._open:
            each.is_inherited = True

    def _inside(self, held: Hold) -> list[Hold]:
        """Lists the later holds of the same thread on models that share something with those of a hold."""
        around, inside = [held], list[Hold]()
        for each in self._open[self._open.index(held) + 1 :]:
            if each.thread is held.thread and any(each.excludes(other) for other in around):
                around.append(each)
                inside.append(each)
        return inside

    def _blockers(self, wanted: Hold) -> list[Hold]:
        """Lists the holds that must be left before a hold can be taken.

        A thread that holds nothing waits in a queue. One that holds something does not, because it would wait for
        threads that wait for it.
        """
        blockers = [each for each in self._open if each.excludes(wanted) and not _is_around(each, wanted)]
        if all(each.thread is not wanted.thread for each in self._open):
            earlier = self._waiting[: self._waiting.index(wanted)]
            blockers += [each for each in earlier if each.excludes(wanted)]
        return blockers

    def _refuse_endless(self, wanted: Hold, blockers: list[Hold]) -> None:
        for each in blockers:
            if each.is_inherited:
                raise CallError(
                    f"this process was forked while `{each.name}` was in use, so its copy here may be a mutant",
                    hint="fork outside of the blocks and calls that use the model, or load the model in the child",
                )
            if each.thread is wanted.thread:
                raise CallError(
                    f"`{each.name}` is in use by another task of this thread",
                    hint="put an asyncio.Lock around blocks and calls, or give each task a model of its own",
                )
            if not each.thread.is_alive():
                raise CallError(
                    f"`{each.name}` is in a block that the thread `{each.thread.name}` did not leave before it ended",
                    hint="leave the block: the model is as it was then",
                )
            if self._waits_for(each.thread, wanted.thread):
                raise CallError(
                    f"`{each.name}` is held by the thread `{each.thread.name}`, which waits for a model that this "
                    "thread holds, so neither could go on",
                    hint="open blocks on several models in the same order in all threads",
                )

    def _waits_for(self, one: Thread, other: Thread) -> bool:
        """Tells whether a thread waits for another one, directly or through others."""
        reached, ahead = set[Thread](), [one]
        while ahead:
            thread = ahead.pop()
            if thread is other:
                return True
            if thread not in reached:
                reached.add(thread)
                waiting = (each for each in self._waiting if each.thread is thread)
                ahead += [blocker.thread for each in waiting for blocker in self._blockers(each)]
        return False


def _is_around(held: Hold, wanted: Hold) -> bool:
    """Tells whether a hold is open around the one that is wanted now.

    Tasks of one thread take turns, so a block of another task is not around this one, unless that task has ended.
    """
    if held.is_inherited or held.thread is not wanted.thread:
        return False
    return held.task is None or held.task is wanted.task or held.task.done()


def _current_task() -> Any:
    """Returns the task of asyncio that runs in this thread; None if no task does."""
    current_task = getattr(sys.modules.get("asyncio"), "current_task", None)  # not imported: no task exists
    try:
        return current_task() if current_task is not None else None
    except RuntimeError:  # no event loop runs
        return None


def _parts(models: Iterable[object]) -> tuple[object, ...]:
    """Returns models and their variables."""
    parts: list[object] = []
    for each in models:
        variables = each.variables.values() if isinstance(each, LiveModel) else variables_of(each)
        parts += [each.model if isinstance(each, LiveModel) else each, *variables]
    return tuple(parts)


def _name(model: object) -> str:
    return model.spec.name if isinstance(model, LiveModel) else str(getattr(model, "name", ""))


_HOLDS = _Holds()
"""The only one of the process: threads share it, so it cannot be passed from call to call."""

os.register_at_fork(after_in_child=_HOLDS.forget_other_threads)
