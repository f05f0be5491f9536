"""The table of cases: commands to measure, and what we promise about them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Command, Measured

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
WORK = CHECKOUT / "build" / "bench"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Case:
    """Commands to measure, with a promise about their time or memory.

    Arguments:
        name: what the command line calls it.
        claim: what we promise.
        commands: the commands to measure; a reference to compare with comes last.
        holds: tells whether the promise is kept, from the commands' measurements in order.
        models: the model files that must exist (see `make_models.py`).
        prepare: commands that run once before the others, and are not measured.
        between: commands that run before each measured command, and are not measured.
        repeats: the number of rounds.
        warm_up: whether a first round runs that does not count.
    """

    name: str
    claim: str
    commands: tuple[Command, ...]
    holds: Callable[[Sequence[Measured]], bool]
    models: tuple[str, ...] = ()
    prepare: tuple[Command, ...] = ()
    between: tuple[Command, ...] = ()
    repeats: int = 5
    warm_up: bool = True


def mutspec(label: str, *arguments: object, exit_codes: tuple[int, ...] = (0,)) -> Command:
    """Returns a call of mutspec's command line, with the interpreter that runs the benchmarks."""
    return Command(label, (sys.executable, "-m", "mutspec", *map(str, arguments)), exit_codes)


def script(label: str, name: str, *arguments: object, says_seconds: bool = False) -> Command:
    """Returns a call of a script in this folder."""
    return Command(label, (sys.executable, str(HERE / name), *map(str, arguments)), says_seconds=says_seconds)


RESNET, MUTANT = WORK / "resnet50.keras", WORK / "resnet50_mutant.keras"
LARGE, LARGE_MUTANT, LARGE_COPY = (WORK / f"large{end}.keras" for end in ("", "_mutant", "_copy"))
LARGE_WEIGHTS = 60 * 4096 * 4096
NOISE, LAYER_NOISE = HERE / "plans" / "kernel_noise.yaml", HERE / "plans" / "layer_noise.yaml"
ONE_LAYER, TWENTY_LAYERS, LAST_LAYER, NO_RELUS = (
    HERE / "plans" / f"{name}.yaml" for name in ("one_layer", "twenty_layers", "last_layer", "no_relus")
)
HALF_WIDTH, FIFTY_PRUNES, AT_ONCE = (
    HERE / "plans" / f"{name}.yaml" for name in ("half_width", "fifty_prunes", "prunes_at_once")
)
MUTATE_RESNET = mutspec("mutspec apply", "apply", NOISE, RESNET, "-o", MUTANT, "--force")
FRESH_START = script("fresh start", "fresh_start.py", LARGE_MUTANT, LARGE_COPY)

CASES = (
    Case(
        name="validate",
        claim="validating a 10-step plan takes at most 1.6 x the bare imports",
        commands=(
            mutspec("mutspec validate", "validate", HERE / "plans" / "ten_steps.yaml"),
            Command("bare imports", (sys.executable, "-c", "import numpy, omegaconf, jsonschema")),
        ),
        holds=lambda measured: measured[0].seconds <= 1.6 * measured[1].seconds,
        repeats=15,
    ),
    Case(
        name="resnet50",
        claim="noise on every kernel of ResNet50: at least 8 x faster than in Keras, under 180 MB",
        commands=(
            MUTATE_RESNET,
            script("load, perturb, save in Keras", "keras_baseline.py", RESNET, WORK / "resnet50_keras.keras"),
        ),
        holds=lambda measured: (
            8 * measured[0].seconds <= measured[1].seconds and measured[0].peak_bytes < 180 * MEGABYTE
        ),
        models=("resnet50",),
    ),
    Case(
        name="provenance",
        claim="noise on every kernel of ResNet50 takes at most 1.25 x as long with a provenance as without",
        commands=(
            MUTATE_RESNET,
            mutspec("without", "apply", NOISE, RESNET, "-o", MUTANT, "--force", "--no-provenance"),
        ),
        holds=lambda measured: measured[0].seconds <= 1.25 * measured[1].seconds,
        models=("resnet50",),
    ),
    Case(
        name="insert",
        claim="inserting a layer into ResNet50: at least 8 x faster than in Keras, under 200 MB; 20 at most 1.2 x one",
        commands=(
            mutspec("mutspec apply, one layer", "apply", ONE_LAYER, RESNET, "-o", MUTANT, "--force"),
            mutspec("mutspec apply, twenty", "apply", TWENTY_LAYERS, RESNET, "-o", MUTANT, "--force"),
            script("load, edit, save in Keras", "keras_edit.py", RESNET, WORK / "resnet50_keras.keras"),
        ),
        holds=lambda measured: (
            8 * measured[0].seconds <= measured[2].seconds
            and measured[1].seconds <= 1.2 * measured[0].seconds
            and max(each.peak_bytes for each in measured[:2]) < 200 * MEGABYTE
        ),
        models=("resnet50",),
    ),
    Case(
        name="prune",
        claim="half of ResNet50's filters go in at most 2 x what a new layer takes, which copies the rest; "
        "50 prunes take at most 1.3 x the same ones at once",
        commands=(
            mutspec("mutspec apply, half of all filters", "apply", HALF_WIDTH, RESNET, "-o", MUTANT, "--force"),
            mutspec("mutspec apply, 50 prunes", "apply", FIFTY_PRUNES, RESNET, "-o", MUTANT, "--force"),
            mutspec("mutspec apply, the same at once", "apply", AT_ONCE, RESNET, "-o", MUTANT, "--force"),
            mutspec("mutspec apply, a new layer", "apply", ONE_LAYER, RESNET, "-o", MUTANT, "--force"),
        ),
        holds=lambda measured: (
            measured[0].seconds <= 2 * measured[3].seconds and measured[1].seconds <= 1.3 * measured[2].seconds
        ),
        models=("resnet50",),
    ),
    Case(
        name="remove",
        claim="removing 116 layers of DenseNet121 takes under 2 s",
        commands=(mutspec("mutspec apply", "apply", NO_RELUS, WORK / "densenet121.keras", "-o", MUTANT, "--force"),),
        holds=lambda measured: measured[0].seconds < 2,
        models=("densenet121",),
    ),
    Case(
        name="diff",
        claim="diff of ResNet50 with its mutant stays under 180 MB",
        commands=(mutspec("mutspec diff", "diff", RESNET, MUTANT, exit_codes=(1,)),),
        holds=lambda measured: measured[0].peak_bytes < 180 * MEGABYTE,
        models=("resnet50",),
        prepare=(MUTATE_RESNET,),
    ),
    Case(
        name="compile",
        claim="a plan of 1,000 steps compiles against a model of 1,000 layers in under 2 s",
        commands=(script("mutspec.dry_run", "compile_plan.py", WORK / "deep.keras", says_seconds=True),),
        holds=lambda measured: measured[0].seconds < 2,
        models=("deep",),
        repeats=3,
    ),
    Case(
        name="large",
        claim="noise on every kernel of a 4 GB file: under 250 MB, at most 1.4 x copying it and drawing the noise",
        commands=(
            mutspec("mutspec apply", "apply", NOISE, LARGE, "-o", LARGE_MUTANT, "--force", "--no-provenance"),
            script("copy, draw on two threads", "copy_and_draw.py", LARGE, LARGE_COPY, LARGE_WEIGHTS),
        ),
        holds=lambda measured: (
            measured[0].peak_bytes < 250 * MEGABYTE and measured[0].seconds <= 1.4 * measured[1].seconds
        ),
        models=("large",),
        between=(FRESH_START,),
        repeats=3,
    ),
    Case(
        name="layer",
        claim="noise on one layer of sixty of a 4 GB file takes at most 1.3 x copying the file",
        commands=(
            mutspec("mutspec apply", "apply", LAYER_NOISE, LARGE, "-o", LARGE_MUTANT, "--force", "--no-provenance"),
            script("copy", "copy_and_draw.py", LARGE, LARGE_COPY, 0),
        ),
        holds=lambda measured: measured[0].seconds <= 1.3 * measured[1].seconds,
        models=("large",),
        between=(FRESH_START,),
        repeats=3,
    ),
    Case(
        name="append",
        claim="appending a layer to a 4 GB file: under 250 MB, at most 1.5 x copying the file",
        commands=(
            mutspec("mutspec apply", "apply", LAST_LAYER, LARGE, "-o", LARGE_MUTANT, "--force", "--no-provenance"),
            script("copy", "copy_and_draw.py", LARGE, LARGE_COPY, 0),
        ),
        holds=lambda measured: (
            measured[0].peak_bytes < 250 * MEGABYTE and measured[0].seconds <= 1.5 * measured[1].seconds
        ),
        models=("large",),
        between=(FRESH_START,),
        repeats=3,
    ),
)
