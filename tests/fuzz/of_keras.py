"""Cases that need Keras: structural plans, and runs. Each takes seconds, so there are few."""

from __future__ import annotations

import json
from random import Random

from tests.fuzz import checks, corpus, hostile, mutate_tree, mutate_zip
from tests.fuzz.case import Call, Case
from tests.fuzz.judge import Rules
from tests.fuzz.of_models import mutated_configuration
from tests.fuzz.of_plans import agree, plan_nodes, plan_text
from tests.fuzz.server import Limits

_SLOW = Limits(seconds=60, megabytes=2000)
_RUN = Rules(codes=(0, 1, 2, 3), output="out", writes_at=(0, 1, 2, 3))
"""Runs leave the folder of a job that failed, with the error in its result."""


def structure_of_model(random: Random) -> Case:
    """A mutated configuration under a plan that adds layers."""
    base = corpus.model("tiny.keras")
    files = {"model.keras": mutated_configuration(base, random), "plan.yaml": corpus.structural_plans()[1].encode()}
    output = random.choice(("out.keras", "out.keras", "out.h5", "out.weights.h5"))
    check = checks.keeps_weights("model.keras", output) if output == "out.keras" else None
    calls = (
        Call(("apply", "plan.yaml", "model.keras", "--dry-run")),
        Call(("apply", "plan.yaml", "model.keras", "-o", output), Rules((0, 1, 2, 3), output), check),
    )
    return Case(files, calls, kind="keras", limits=_SLOW)


def structure_of_plan(random: Random) -> Case:
    """A mutated structural plan on a good model. What only Keras can tell, a dry-run cannot."""
    text = random.choice(corpus.structural_plans())
    plan = plan_nodes(text, random) if random.random() < 0.8 else plan_text(text, random)
    files = {"model.keras": corpus.model("tiny.keras"), "plan.yaml": plan}
    calls = (
        Call(("validate", "plan.yaml", "--model", "model.keras")),
        Call(("apply", "plan.yaml", "model.keras", "--dry-run")),
        Call(
            ("apply", "plan.yaml", "model.keras", "-o", "out.keras"),
            Rules((0, 1, 2, 3), "out.keras"),
            checks.holds_no_code("out.keras"),
        ),
    )
    return Case(files, calls, check=agree, kind="keras", limits=_SLOW)


def run_of_plan(random: Random) -> Case:
    """A mutated plan that is evaluated."""
    text = random.choice((*corpus.structural_plans(), *corpus.plans()[:1]))
    plan = plan_nodes(text, random)
    files = {
        "model.keras": corpus.model("tiny.keras"),
        "plan.yaml": plan,
        "data.npz": corpus.content(corpus.CORPUS / "data" / "stored.npz"),
    }
    given = ("plan_file=plan.yaml", "model.path=model.keras", "data=npz", "data.path=data.npz", "hydra.run.dir=out")
    return Case(files, (Call(("run", *given), _RUN),), kind="keras", limits=_SLOW)


def run_of_names(random: Random) -> Case:
    """A sweep over the layers of a model whose names mean something elsewhere."""
    base = corpus.model("tiny.keras")
    old = random.choice(("dense", "conv", "logits"))
    tree = json.loads(mutate_zip.member(base, "config.json"))
    text = json.dumps(mutate_tree.replaced(tree, old, random.choice(hostile.NAMES)))
    files = {
        "model.keras": mutate_zip.with_member(base, "config.json", text.encode()),
        "data.npz": corpus.content(corpus.CORPUS / "data" / "stored.npz"),
    }
    given = ("model.path=model.keras", "data=npz", "data.path=data.npz", "plan.params.std=1", "hydra.sweep.dir=out")
    call = Call(("run", "-m", "experiment=sensitivity", *given), _RUN)
    return Case(files, (call,), kind="keras", limits=_SLOW)
