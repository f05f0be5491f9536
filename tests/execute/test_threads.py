"""Models in several threads, tasks and processes: against the same calls one after the other."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Barrier, Event, Thread, main_thread
from time import sleep
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.access import model_lock
from mutspec.errors import CallError
from mutspec.model.live import building_alone
from tests.zoo.play import weights

THREADS = 5
SECONDS = 60
"""After which a test gives up: nothing here takes as long."""
RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(40, 6)).astype(np.float32)
Y = RANDOM.integers(0, 4, 40)
NOISE = {"params": {"std": 0.3}, "steps": [{"op": "gaussian_noise", "target": "*", "std": "${params.std}"}]}
DOUBLE_KERNELS = mutspec.plan({"steps": [{"op": "scale", "target": {"weights": "kernels"}, "factor": 2.0}]})
DOUBLE = mutspec.plan({"steps": [{"op": "scale", "target": {"weights": "*"}, "factor": 2.0}]})
COPY = {"op": "transfer_weights", "source": "other:hidden/kernel", "target": "hidden/kernel"}


def _model(seed: int = 2) -> Any:
    return keras.Sequential(
        [
            keras.Input((6,), name="input"),
            _dense(8, seed, name="hidden", activation="relu"),
            _dense(4, seed + 100, name="head", activation="softmax"),
        ],
        name="toy",
    )


def _dense(units: int, seed: int, **arguments: Any) -> Any:
    initializers = keras.initializers
    first, second = initializers.GlorotUniform(seed), initializers.RandomNormal(stddev=0.3, seed=seed)
    return keras.layers.Dense(units, kernel_initializer=first, bias_initializer=second, **arguments)


@pytest.fixture
def model() -> Any:
    return _model()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as threads:
        yield threads


def _noise(seed: int = 0) -> Any:
    return mutspec.plan({"seed": seed, **NOISE})


def _at_once(pool: ThreadPoolExecutor, call: Callable[[int], Any]) -> list[Any]:
    """What a call returns for 0, 1, …, in as many threads, which begin together."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait(SECONDS)
        return call(number)

    return list(pool.map(begin, range(THREADS)))


def _is_waiting(future: Future[Any], among: int = 1) -> bool:
    """Whether a thread comes to wait, as one of at least `among`, instead of being done."""
    while not future.done():
        with model_lock._HOLDS.changed:
            if len(model_lock._HOLDS._waiting) >= among:
                return True
        sleep(0.001)
    return False


def _swept(model: Any, seed: int) -> Any:
    rows = mutspec.sweep(_noise(seed), model, (X, Y), seeds=2).rows
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _inside_a_block(model: Any, seed: int) -> Any:
    found = []
    for number in range(5):
        with mutspec.mutated(_noise(10 * seed + number), model):
            found.append((weights(model), model.predict_on_batch(X).tobytes()))
    return found


def _broken(model: Any, seed: int) -> Any:
    return mutspec.breaking_point(_noise(seed), model, (X, Y), max_drop=0.2, tolerance=1).by_seed


def _applied(model: Any, seed: int) -> Any:
    return weights(mutspec.apply(_noise(seed), model))


def _nested(model: Any, seed: int) -> Any:
    with mutspec.mutated(_noise(seed), model), mutspec.mutated(DOUBLE, model):
        return weights(mutspec.apply(DOUBLE, model))


CALLS = [_swept, _inside_a_block, _broken, _applied, _nested]


@pytest.mark.parametrize("call", CALLS)
def test_calls_in_threads_on_one_model_find_what_they_find_in_turn(
    model: Any, pool: ThreadPoolExecutor, call: Callable[[Any, int], Any]
) -> None:
    before = weights(model)
    twin = _model()
    alone = [call(twin, seed) for seed in range(THREADS)]
    assert alone[0] != alone[1]
    assert _at_once(pool, lambda seed: call(model, seed)) == alone
    assert weights(model) == before


def test_calls_of_all_kinds_share_a_model(model: Any, pool: ThreadPoolExecutor) -> None:
    before = weights(model)
    twin = _model()
    alone = [CALLS[number % len(CALLS)](twin, number) for number in range(THREADS)]
    assert _at_once(pool, lambda number: CALLS[number % len(CALLS)](model, number)) == alone
    assert weights(model) == before


def test_no_mutation_in_place_is_lost(model: Any, pool: ThreadPoolExecutor) -> None:
    before = [variable.numpy() for variable in model.weights]
    rounds = 4
    _at_once(pool, lambda _: [mutspec.apply(DOUBLE, model, in_place=True) for _ in range(rounds)])
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value * 2.0 ** (rounds * THREADS))


@pytest.mark.parametrize("call", [_swept, _nested])
def test_calls_in_threads_on_models_of_their_own_find_what_they_find_in_turn(
    pool: ThreadPoolExecutor, call: Callable[[Any, int], Any]
) -> None:
    models = [_model(seed) for seed in range(THREADS)]
    alone = [call(_model(seed), seed) for seed in range(THREADS)]
    assert _at_once(pool, lambda seed: call(models[seed], seed)) == alone


def test_models_that_share_nothing_are_mutated_at_the_same_time(pool: ThreadPoolExecutor) -> None:
    everybody = Barrier(THREADS)

    def inside(number: int) -> None:
        with mutspec.mutated(_noise(), _model(number)):
            everybody.wait(SECONDS)

    _at_once(pool, inside)


def test_a_teacher_serves_several_blocks_at_once_and_is_free_inside_them(pool: ThreadPoolExecutor) -> None:
    everybody, teacher = Barrier(THREADS), _model(7)
    plan = mutspec.plan({"inputs": {"other": {}}, "steps": [COPY]})

    def inside(number: int) -> None:
        student = _model(number)
        with mutspec.mutated(plan, student, inputs={"other": teacher}):
            everybody.wait(SECONDS)
            assert student.layers[0].kernel.numpy().tobytes() == kernel

    kernel = teacher.layers[0].kernel.numpy().tobytes()
    _at_once(pool, inside)
    with mutspec.mutated(plan, _model(), inputs={"other": teacher}):
        pool.submit(mutspec.apply, DOUBLE, teacher, in_place=True).result(SECONDS)


def test_calls_that_want_each_others_models_wait_in_turn(pool: ThreadPoolExecutor) -> None:
    models, plan = [_model(1), _model(2)], mutspec.plan({"inputs": {"other": {}}, "steps": [COPY]})
    before = [weights(each) for each in models]

    def swap(number: int) -> None:
        for _ in range(3):
            with mutspec.mutated(plan, models[number % 2], inputs={"other": models[1 - number % 2]}):
                pass

    _at_once(pool, swap)
    assert [weights(each) for each in models] == before


@pytest.mark.parametrize(
    "read",
    [
        lambda model: weights(mutspec.apply(DOUBLE, model)),
        lambda model: str(mutspec.diff(_model(), model)),
        lambda model: mutspec.sweep(DOUBLE, model, (X, None)).rows[0]["divergence"],
    ],
    ids=["apply", "diff", "sweep"],
)
def test_what_reads_a_model_does_not_see_another_threads_mutant(
    model: Any, pool: ThreadPoolExecutor, read: Callable[[Any], Any]
) -> None:
    wanted = read(model)
    with mutspec.mutated(_noise(), model):
        assert read(model) != wanted  # in this thread it is the mutant
        found = pool.submit(read, model)
        assert _is_waiting(found)
        assert mutspec.dry_run(DOUBLE, model).steps  # needs no values
        pool.submit(mutspec.dry_run, DOUBLE, model).result(SECONDS)
    assert found.result(SECONDS) == wanted


def _submodel() -> tuple[Any, Any]:
    model = keras.Sequential([keras.Input((6,)), _model(), keras.layers.Dense(2)])
    return model, model.layers[0]


def _with_a_shared_layer() -> tuple[Any, Any]:
    shared = _dense(5, 3)
    return tuple(keras.Sequential([keras.Input((6,)), shared, _dense(2, seed)]) for seed in (1, 2))  # type: ignore[return-value]


def _cut_in_the_middle() -> tuple[Any, Any]:
    model = _model()
    return model, keras.Model(model.inputs, model.layers[0].output)


@pytest.mark.parametrize("pair", [_submodel, _with_a_shared_layer, _cut_in_the_middle])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_models_that_share_weights_are_mutated_in_turn(
    pool: ThreadPoolExecutor, pair: Callable[[], tuple[Any, Any]], is_reversed: bool
) -> None:
    one, other = reversed(pair()) if is_reversed else pair()
    before = weights(one), weights(other)
    wanted = weights(mutspec.apply(_noise(1), other))
    with mutspec.mutated(_noise(), one):
        found = pool.submit(lambda: weights(mutspec.apply(_noise(1), other)))
        entered = pool.submit(_inside_a_block, other, 1)
        assert _is_waiting(found)
        assert _is_waiting(entered, among=2)
    assert found.result(SECONDS) == wanted
    entered.result(SECONDS)
    assert (weights(one), weights(other)) == before


def test_who_waits_is_next(model: Any, pool: ThreadPoolExecutor) -> None:
    entered = []

    def enter() -> None:
        with mutspec.mutated(_noise(), model):
            entered.append("who waits")

    with mutspec.mutated(_noise(), model):
        waiting = pool.submit(enter)
        assert _is_waiting(waiting)
    with mutspec.mutated(_noise(), model):
        entered.append("who was there already")
    waiting.result(SECONDS)
    assert entered == ["who waits", "who was there already"]


def test_a_sweep_can_use_its_model_while_it_goes_on(model: Any) -> None:
    seen = []
    _ = mutspec.sweep(
        _noise(), model, (X, Y), on_progress=lambda *_: seen.append(weights(mutspec.apply(DOUBLE, model)))
    )
    assert seen == [weights(mutspec.apply(DOUBLE, model))]


# What cannot be waited for


def test_threads_that_would_wait_for_each_other_are_told(pool: ThreadPoolExecutor) -> None:
    models, both_are_inside = [_model(1), _model(2)], Barrier(2)
    before = [weights(each) for each in models]

    def enter(number: int) -> str:
        with mutspec.mutated(_noise(), models[number]):
            both_are_inside.wait(SECONDS)
            try:
                with mutspec.mutated(_noise(), models[1 - number]):
                    return "entered"
            except CallError as error:
                return str(error)

    found = sorted(future.result(SECONDS) for future in [pool.submit(enter, number) for number in (0, 1)])
    assert "entered" in found
    assert "which waits for a model that this thread holds" in found[0]
    assert "in the same order" in found[0]
    assert [weights(each) for each in models] == before


def test_three_threads_that_would_wait_in_a_circle_are_told(pool: ThreadPoolExecutor) -> None:
    models, all_are_inside = [_model(seed) for seed in range(3)], Barrier(3)

    def enter(number: int) -> bool:
        with mutspec.mutated(_noise(), models[number]):
            all_are_inside.wait(SECONDS)
            mutspec.apply(DOUBLE, models[(number + 1) % 3])
        return True

    errors = [future.exception(SECONDS) for future in [pool.submit(enter, number) for number in range(3)]]
    assert [type(error) for error in errors if error] == [CallError]


def test_a_block_of_a_thread_that_has_ended_is_not_waited_for(model: Any) -> None:
    before, block = weights(model), mutspec.mutated(_noise(), model)
    thread = Thread(target=block.__enter__, name="worker")
    thread.start()
    thread.join()
    with pytest.raises(CallError, match="`worker` did not leave before it ended"):
        mutspec.apply(DOUBLE, model)
    block.__exit__(None, None, None)
    assert weights(model) == before
    mutspec.apply(DOUBLE, model)


def test_ctrl_c_ends_the_wait(model: Any, pool: ThreadPoolExecutor) -> None:
    before, is_inside, may_leave = weights(model), Event(), Event()

    def stay() -> None:
        with mutspec.mutated(_noise(), model):
            is_inside.set()
            may_leave.wait(SECONDS)

    def interrupt() -> None:
        assert _is_waiting(staying)
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)

    staying = pool.submit(stay)
    is_inside.wait(SECONDS)
    # A shell makes its jobs in the background ignore SIGINT, and all their children too.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            pool.submit(interrupt)
            with mutspec.mutated(_noise(), model):
                pytest.fail("the block ran")
    finally:
        signal.signal(signal.SIGINT, earlier)
        may_leave.set()
    staying.result(SECONDS)
    with mutspec.mutated(_noise(), model):
        assert weights(model) != before
    assert weights(model) == before


# Blocks that are not left as they nest


def _entered(*blocks: AbstractContextManager[Any]) -> tuple[AbstractContextManager[Any], ...]:
    for block in blocks:
        block.__enter__()
    return blocks


def test_leaving_blocks_out_of_order_restores_the_model_and_both_are_told(model: Any, pool: ThreadPoolExecutor) -> None:
    before = weights(model)
    outermost, outer, inner, innermost = _entered(*(mutspec.mutated(_noise(seed), model) for seed in range(4)))
    with mutspec.mutated(_noise(), _model()) as report:
        assert report.steps
        mutant = weights(mutspec.apply(_noise(), _model()))
    with pytest.raises(CallError, match=r"left before 2 others that were opened inside it.*reverse order"):
        outer.__exit__(None, None, None)
    assert weights(model) == mutant  # that of the outermost, in which nothing is wrong
    for block in (innermost, inner):
        with pytest.raises(CallError, match="was restored before the end of this block"):
            block.__exit__(None, None, None)
    assert weights(model) == mutant
    outermost.__exit__(None, None, None)
    assert weights(model) == before
    assert pool.submit(_applied, model, 3).result(SECONDS) == _applied(_model(), 3)


def test_an_exception_passes_through_blocks_that_are_left_out_of_order(model: Any) -> None:
    before = weights(model)
    outer, inner = _entered(mutspec.mutated(_noise(), model), mutspec.mutated(_noise(), model))
    for block in (outer, inner):
        assert not block.__exit__(ValueError, ValueError("mine"), None)
        assert weights(model) == before


class _Stubborn(keras.Variable):
    """A variable whose assignments are interrupted, once, by Ctrl-C: when none is left that may pass."""

    may_pass = -1

    def assign(self, value: Any) -> Any:
        self.may_pass -= 1
        if self.may_pass == -1:
            raise KeyboardInterrupt
        return super().assign(value)


class _Gain(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.before = self.add_weight(shape=(3,), initializer="ones")
        self.gain = _Stubborn(np.full(3, 2.0, "float32"))
        self.after = self.add_weight(shape=(3,), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.before * self.gain * self.after


@pytest.mark.parametrize("may_pass", [0, 1])
def test_ctrl_c_while_weights_are_assigned_or_restored_leaves_no_mutant(
    may_pass: int, pool: ThreadPoolExecutor
) -> None:
    model = keras.Sequential([keras.Input((3,)), _Gain()])
    before, gain = weights(model), model.layers[0].gain
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        gain.may_pass = may_pass
        with mutspec.mutated(DOUBLE, model):
            assert may_pass
    assert gain.may_pass < 0
    assert weights(model) == before
    assert pool.submit(mutspec.apply, DOUBLE, model, in_place=True).result(SECONDS) is model


def test_a_block_that_nobody_can_leave_any_more_is_left(model: Any, pool: ThreadPoolExecutor) -> None:
    before, block = weights(model), mutspec.mutated(_noise(), model)
    block.__enter__()
    assert weights(model) != before
    del block
    assert weights(model) == before
    pool.submit(mutspec.apply, DOUBLE, model, in_place=True).result(SECONDS)


def test_blocks_on_models_that_share_nothing_are_left_in_any_order() -> None:
    models = [_model(1), _model(2)]
    before = [weights(each) for each in models]
    one, other = _entered(*(mutspec.mutated(_noise(), each) for each in models))
    one.__exit__(None, None, None)
    assert weights(models[0]) == before[0]
    assert weights(models[1]) != before[1]
    other.__exit__(None, None, None)
    assert weights(models[1]) == before[1]


def test_blocks_on_models_that_share_a_layer_are_left_as_they_nest() -> None:
    one, other = _with_a_shared_layer()
    before = weights(one), weights(other)
    outer, inner = _entered(mutspec.mutated(_noise(), one), mutspec.mutated(_noise(), other))
    with pytest.raises(CallError, match="left before another that was opened inside it"):
        outer.__exit__(None, None, None)
    assert (weights(one), weights(other)) == before
    with pytest.raises(CallError, match="was restored before"):
        inner.__exit__(None, None, None)


def test_generators_that_are_closed_out_of_order_are_told(model: Any) -> None:
    before = weights(model)

    def mutants(seed: int) -> Iterator[list[bytes]]:
        with mutspec.mutated(_noise(seed), model):
            yield weights(model)

    one, other = mutants(1), mutants(2)
    assert next(one) != next(other)
    with pytest.raises(CallError, match="left before another"):
        one.close()  # type: ignore[attr-defined]
    assert weights(model) == before
    with pytest.raises(CallError, match="was restored before"):
        other.close()  # type: ignore[attr-defined]
    three = mutants(3)
    next(three)
    three.close()  # type: ignore[attr-defined]
    assert weights(model) == before


def test_a_block_may_be_left_by_another_thread(model: Any, pool: ThreadPoolExecutor) -> None:
    before, block = weights(model), mutspec.mutated(_noise(), model)
    block.__enter__()
    waiting = pool.submit(_applied, model, 3)
    assert _is_waiting(waiting)
    pool.submit(block.__exit__, None, None, None).result(SECONDS)
    assert weights(model) == before
    assert waiting.result(SECONDS) == _applied(_model(), 3)


# Tasks


def test_a_task_is_told_that_another_one_is_inside_a_block(model: Any) -> None:
    before = weights(model)

    async def mutant(seed: int, *, has_its_own: bool = False) -> list[bytes]:
        mine = _model() if has_its_own else model
        with mutspec.mutated(_noise(seed), mine):
            for _ in range(3):
                await asyncio.sleep(0)
            return weights(mine)

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(mutant(1), mutant(2), mutant(3, has_its_own=True), return_exceptions=True)

    first, second, third = asyncio.run(all_at_once())
    assert first == _applied(_model(), 1)
    assert third == _applied(_model(), 3)
    with pytest.raises(CallError, match=r"in use by another task of this thread.*asyncio\.Lock"):
        raise second
    assert weights(model) == before


def test_a_task_nests_blocks_and_goes_on_in_the_block_of_a_task_that_has_ended(model: Any) -> None:
    before = weights(model)
    block = mutspec.mutated(DOUBLE, model)

    async def nested() -> list[bytes]:
        with mutspec.mutated(_noise(), model):
            await asyncio.sleep(0)
            with mutspec.mutated(DOUBLE, model):
                await asyncio.sleep(0)
                return weights(model)

    async def prepare() -> None:
        block.__enter__()

    async def all_of_it() -> list[bytes]:
        await asyncio.create_task(prepare())
        return await asyncio.create_task(nested())

    found = asyncio.run(all_of_it())
    block.__exit__(None, None, None)
    assert weights(model) == before
    with mutspec.mutated(DOUBLE, model):
        assert found == asyncio.run(nested())


# Forked processes


def _in_a_child(call: Callable[[], Any]) -> str:
    """What a call says in a forked child: the message of its error, or "done"."""
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of any fork in a process with threads
        child = os.fork()
    if not child:
        signal.alarm(SECONDS)  # ends a child that waits for what nobody does
        try:
            call()
            said = "done"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(there, said.encode())
        os._exit(0)
    os.close(there)
    with open(here, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@contextmanager
def _mutated_elsewhere(model: Any, pool: ThreadPoolExecutor) -> Iterator[None]:
    """A block that another thread is in, with a third one that waits."""
    is_inside, may_leave = Event(), Event()

    def stay() -> None:
        with mutspec.mutated(_noise(), model):
            is_inside.set()
            may_leave.wait(SECONDS)

    staying = pool.submit(stay)
    is_inside.wait(SECONDS)
    waiting = pool.submit(_applied, model, 0)
    assert _is_waiting(waiting)
    try:
        yield
    finally:
        may_leave.set()
    staying.result(SECONDS)
    waiting.result(SECONDS)


def test_a_child_that_is_forked_while_a_model_is_mutated_is_told(model: Any, pool: ThreadPoolExecutor) -> None:
    def enter() -> None:
        with mutspec.mutated(_noise(), model):
            pass

    told = "CallError: this process was forked while `toy`"
    with mutspec.mutated(_noise(), model):
        assert _in_a_child(enter).startswith(told)
    with _mutated_elsewhere(model, pool):
        assert _in_a_child(enter).startswith(told)
        assert _in_a_child(lambda: mutspec.sweep(_noise(), model, (X, Y))).startswith(told)
        assert _in_a_child(lambda: mutspec.diff(model, model)).startswith(told)
    assert _in_a_child(enter) == "done"


def test_a_child_mutates_the_models_that_were_not_in_use(model: Any, pool: ThreadPoolExecutor) -> None:
    other = _model(5)
    with _mutated_elsewhere(model, pool):

        def enter() -> None:
            before = weights(other)
            with mutspec.mutated(DOUBLE, other, threads=1):
                assert weights(other) != before
            assert weights(other) == before

        assert _in_a_child(enter) == "done"


def test_a_child_that_is_forked_inside_a_block_can_leave_it(model: Any) -> None:
    before, block = weights(model), mutspec.mutated(DOUBLE, model)

    def leave_and_enter() -> None:
        block.__exit__(None, None, None)
        assert weights(model) == before
        with mutspec.mutated(DOUBLE, model, threads=1):
            assert weights(model) != before

    block.__enter__()
    assert _in_a_child(leave_and_enter) == "done"
    block.__exit__(None, None, None)


def test_a_child_that_is_forked_while_another_thread_builds_can_build(pool: ThreadPoolExecutor) -> None:
    is_building, may_end = Event(), Event()

    def build() -> None:
        with building_alone():
            is_building.set()
            may_end.wait(SECONDS)

    def build_too() -> None:
        with building_alone():
            pass

    building = pool.submit(build)
    is_building.wait(SECONDS)
    try:
        assert _in_a_child(build_too) == "done"
    finally:
        may_end.set()
    building.result(SECONDS)


# What exists once in a process


@pytest.mark.parametrize("others_load", [False, True])
def test_models_that_are_built_in_threads_get_the_seeds_that_they_get_in_turn(
    pool: ThreadPoolExecutor, tmp_path: Path, others_load: bool
) -> None:
    layer = {"type": "Dense", "units": "same", "kernel_initializer": "Orthogonal"}
    insert = {"op": "insert_layer", "after": "hidden", "id": "new", "layer": layer}

    models = [_model(seed) for seed in range(THREADS)]

    unseeded = keras.Sequential([keras.Input((6,)), *(keras.layers.Dense(4) for _ in range(5))])
    unseeded.save(tmp_path / "unseeded.keras")

    def built(seed: int) -> list[bytes]:
        if others_load and seed % 2:  # Keras draws seeds for it too, before it has its weights
            return weights(mutspec.apply(DOUBLE_KERNELS, tmp_path / "unseeded.keras"))
        return weights(mutspec.apply(mutspec.plan({"seed": seed, "steps": [insert]}), models[seed]))

    alone = [built(seed) for seed in range(THREADS)]
    state, filters = random.getstate(), list(warnings.filters)
    assert _at_once(pool, built) == alone
    assert (random.getstate() == state) is not others_load
    assert warnings.filters == filters


def test_a_warning_is_heard_while_another_thread_builds_in_silence(model: Any, pool: ThreadPoolExecutor) -> None:
    is_silent, overflow = Event(), {"op": "scale", "target": "*", "factor": 1e39, "non_finite": "report"}

    def build() -> None:
        with building_alone(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_silent.set()
            sleep(0.2)

    with pytest.warns(mutspec.MutspecWarning, match="infinite or NaN"):  # noqa: PT031
        building = pool.submit(build)
        is_silent.wait(SECONDS)
        mutspec.apply(mutspec.plan({"steps": [overflow]}), model, in_place=True)
    building.result(SECONDS)


@pytest.mark.parametrize("model", [None, 3, np.ones(2), keras.Sequential([keras.layers.Dense(2)])])
def test_what_cannot_be_mutated_is_refused_and_not_held(model: Any, pool: ThreadPoolExecutor) -> None:
    for call in (_inside_a_block, _applied, _swept):
        with pytest.raises(mutspec.MutspecError):
            call(model, 0)
    with pytest.raises(mutspec.MutspecError):
        pool.submit(_inside_a_block, model, 0).result(SECONDS)
