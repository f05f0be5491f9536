"""Cases of model files: their bytes, their structure as a zip, as HDF5, as a configuration."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

from tests.fuzz import checks, corpus, hostile, mutate_bytes, mutate_hdf5, mutate_tree, mutate_zip
from tests.fuzz.case import Call, Case
from tests.fuzz.judge import Rules

WEIGHTS = "model.weights.h5"
NEGATE = b"mutspec: 1\nsteps: [{op: negate, target: {weights: kernels}}]\n"
SAME = b"mutspec: 1\nsteps: [{op: scale, target: {weights: kernels}, factor: 1}]\n"
TRANSFER = b"mutspec: 1\ninputs: {teacher: {}}\nsteps: [{op: blend, target: dense, source: 'teacher:', t: 1}]\n"
_DIFF = Rules(codes=(0, 1, 2, 3))


def reading(model: str, base: str, random: Random) -> list[Call]:
    """Three of the calls that read a model file without writing one."""
    shown = random.choice(("mermaid", "dot", "json"))
    calls = [
        Call(("inspect", model, random.choice(("--layers", "--weights", "--digests")))),
        Call(("inspect", model, "--select", random.choice(("*", "re:.*", "{weights: kernels, expect: {min: 1}}")))),
        Call(("validate", "negate.yaml", "--model", model)),
        Call(("apply", "negate.yaml", model, "--dry-run", "--json"), check=checks.is_json),
        Call(("apply", "negate.yaml", model, "--dry-run", "--diff")),
        Call(("graph", "negate.yaml", model, "--format", shown), check=checks.is_json if shown == "json" else None),
        Call(("diff", base, model, "--json"), _DIFF, checks.sees_differences(base, model)),
        Call(("diff", model, base), _DIFF),
        Call(("provenance", model, "--json")),
    ]
    return random.sample(calls, 3)


def on_model(data: bytes, base: bytes, suffix: str, random: Random, why: str = "", *, is_plain: bool = False) -> Case:
    """All that may be done with a mutated model file."""
    model, base_name, output = f"model{suffix}", f"base{suffix}", f"out{suffix}"
    calls = [
        Call(("inspect", model, "--json"), check=checks.lists_what_is_there(model)),
        *reading(model, base_name, random),
    ]
    writes = Rules(codes=(0, 1, 2, 3), output=output)
    negates = Call(("apply", "negate.yaml", model, "-o", output, "--json"), writes, checks.is_negated(model, output))
    same = checks.is_the_same(model, output, is_plain=is_plain)
    calls.append(
        random.choice(
            (negates, negates, Call(("apply", "same.yaml", model, "-o", output, "--no-provenance"), writes, same))
        )
    )
    files = {model: data, base_name: base, "negate.yaml": NEGATE, "same.yaml": SAME}
    return Case(files, tuple(calls), why, ends_with=1)


def keras_bytes(random: Random) -> Case:
    base = corpus.content(random.choice(corpus.keras_files()))
    others = tuple(map(corpus.content, corpus.keras_files()))
    return on_model(mutate_bytes.mutated(base, random, others=others), base, ".keras", random)


def keras_zip(random: Random) -> Case:
    base = corpus.content(random.choice(corpus.keras_files()))
    data, why = mutate_zip.mutated(base, random)
    return on_model(data, base, ".keras", random, why)


def keras_weights(random: Random) -> Case:
    """Damage within the weights, with the checksum that fits it."""
    base = corpus.content(random.choice(corpus.keras_files()))
    weights = mutate_hdf5.mutated(mutate_zip.member(base, WEIGHTS), random)
    return on_model(mutate_zip.with_member(base, WEIGHTS, weights), base, ".keras", random)


def configuration(text: str, random: Random) -> str:
    """A configuration with something else in it; or a text that is none."""
    kind = random.random()
    if kind < 0.1:
        return mutate_bytes.mutated(text.encode(), random).decode("utf-8", errors="surrogateescape")
    if kind < 0.15:
        deep = random.choice((100, 1000, 100_000))
        return text.replace("null", "[" * deep + "]" * deep, 1)
    tree = json.loads(text)
    if kind < 0.35:
        return json.dumps(mutate_tree.renamed(tree, random.choice(hostile.NAMES), random))
    return json.dumps(mutate_tree.rewired(tree, random) if kind < 0.5 else mutate_tree.mutated(tree, random))


def mutated_configuration(base: bytes, random: Random) -> bytes:
    text = configuration(mutate_zip.member(base, "config.json").decode(), random)
    return mutate_zip.with_member(base, "config.json", text.encode("utf-8", errors="surrogateescape"))


def keras_configuration(random: Random) -> Case:
    path = random.choice(corpus.keras_files())
    base = corpus.content(path)
    is_plain = path.name not in ("deflated.keras", "chunked.keras")
    return on_model(mutated_configuration(base, random), base, ".keras", random, is_plain=is_plain)


def h5_bytes(random: Random) -> Case:
    base = corpus.content(random.choice(corpus.whole_h5_files()))
    others = tuple(map(corpus.content, corpus.whole_h5_files()))
    return on_model(mutate_hdf5.mutated(base, random, others), base, ".h5", random)


def h5_configuration(random: Random) -> Case:
    base = corpus.content(random.choice(corpus.whole_h5_files()))
    text = configuration(mutate_hdf5.configuration(base), random)
    try:
        data = mutate_hdf5.with_configuration(base, text)
    except (ValueError, UnicodeError):  # a text that HDF5 does not take
        data = mutate_hdf5.with_configuration(base, "{}")
    return on_model(data, base, ".h5", random)


def weights_bytes(random: Random) -> Case:
    """A file of weights, alone or with the architecture in another file, of which one is mutated."""
    base, architecture = corpus.model("tiny.weights.h5"), corpus.model("deflated.keras")
    with_architecture = random.random() < 0.5
    mutates_architecture = with_architecture and random.random() < 0.3
    model = base if mutates_architecture else mutate_hdf5.mutated(base, random)
    if mutates_architecture:
        architecture = mutated_configuration(architecture, random)
    case = on_model(model, base, ".weights.h5", random)
    if not with_architecture:
        return case
    option = ("--architecture", "architecture.keras")
    calls = [
        call if call.arguments[0] in ("diff", "validate") else Call((*call.arguments, *option), call.rules, call.check)
        for call in case.calls
    ]
    return replace(case, files={**case.files, "architecture.keras": architecture}, calls=tuple(calls))


def teacher(random: Random) -> Case:
    """A damaged file as an input that a plan reads: its damage must not become a part of a whole file."""
    base = corpus.model(random.choice(("tiny.keras", "deflated.keras", "chunked.keras")))
    why = ""
    if random.random() < 0.7:
        data = mutate_bytes.mutated(base, random)
    else:
        data, why = mutate_zip.mutated(base, random)
    files = {"model.keras": base, "teacher.keras": data, "transfer.yaml": TRANSFER}
    bound = ("transfer.yaml", "model.keras", "--input", "teacher=teacher.keras")
    writes = Rules(codes=(0, 1, 2, 3), output="out.keras")
    hidden = checks.damage_is_not_hidden("teacher.keras", "out.keras")
    calls = (
        Call(("validate", "transfer.yaml", "--model", *bound[1:])),
        Call(("apply", *bound, "--dry-run")),
        Call(("apply", *bound, "-o", "out.keras"), writes, hidden),
    )
    return Case(files, calls, why)
