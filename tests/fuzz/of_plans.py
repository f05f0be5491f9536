"""Cases of plans that change weights alone: their text, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

import yaml

from tests.fuzz import checks, corpus, mutate_bytes, mutate_tree
from tests.fuzz.case import Call, Case
from tests.fuzz.judge import Rules
from tests.fuzz.server import Outcome

_TOKENS = (
    *(
        "${params.std}",
        "${params.none}",
        "${oc.env:MUTSPEC_FUZZ_SECRET}",
        "${${x}}",
        "${params.std",
        "$",
        "*",
        "&a",
        "*a",
    ),
    *(
        "!!python/object/apply:os.system [touch canary]",
        "!!python/name:os.system",
        "!!binary aGk=",
        "!include secret.txt",
    ),
    *(
        "<<: *a",
        "---",
        "...",
        "%YAML 2.0",
        "? [a]",
        "- - - -",
        "{" * 200,
        "[" * 5000,
        "re:(a+)+$",
        "re:(",
        "re:(a{1000}){1000}",
    ),
    *(
        "|",
        ">",
        "\t",
        "\r",
        "\0",
        "\ufeff",
        "\x85",
        "\u2028",
        "# x",
        ": ",
        "'",
        '"',
        "yes",
        "1e400",
        "0o17",
        "1_000",
        "~",
        "99999999999",
    ),
    *("__lambda__", "class_name: Lambda", "teacher:", "../x", "/etc/passwd", "100%", "-1%", "1e-400%", ".inf", ".nan"),
    "a: &a [x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d]",
)


def plan_text(text: str, random: Random) -> bytes:
    if random.random() < 0.2:
        return mutate_bytes.mutated(text.encode(), random)
    lines = text.splitlines()
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(lines))
        kind = random.randrange(6)
        if kind == 0:
            lines[at:at] = [lines[at]] * random.choice((1, 1, 300))
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2:
            lines[at] = " " * random.randrange(9) + lines[at].lstrip()
        elif kind == 3:
            key, colon, _ = lines[at].partition(": ")
            lines[at] = f"{key}{colon}{random.choice(_TOKENS)}"
        elif kind == 4:
            place = random.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + random.choice(_TOKENS) + lines[at][place:]
        else:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines).encode("utf-8", errors="surrogatepass")


def plan_nodes(text: str, random: Random) -> bytes:
    tree = mutate_tree.mutated(yaml.safe_load(text), random)
    try:
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=10**9).encode(
            "utf-8", errors="surrogatepass"
        )
    except (ValueError, yaml.YAMLError):  # numbers of more than 4,300 digits, and what YAML has no form for
        return plan_text(text, random)


def with_plan(plan: bytes, random: Random) -> Case:
    """All that may be done with a plan on a good model, where weights are changed alone."""
    files = {"plan.yaml": plan, "model.keras": corpus.model("tiny.keras")}
    bound = ("--input", "teacher=model.keras") if b"teacher" in plan else ()
    form = random.choice(("text", "json", "github"))
    of_form = checks.is_json if form == "json" else None
    writes = Rules(codes=(0, 1, 2, 3), output="out.keras")
    calls = (
        Call(("validate", "plan.yaml", "--format", form), Rules(is_told_on_stdout=form != "text"), of_form),
        Call(("validate", "plan.yaml", "--model", "model.keras", *bound)),
        Call(("apply", "plan.yaml", "model.keras", *bound, "--dry-run")),
        Call(("graph", "plan.yaml", "model.keras", *bound)),
        Call(
            ("apply", "plan.yaml", "model.keras", *bound, "-o", "out.keras", "--json"),
            writes,
            checks.touches_what_it_says("model.keras", "out.keras"),
        ),
    )
    return Case(files, calls, check=foresees)


def foresees(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Validating and dry-running refuse what applying refuses, and nothing else; but for values and the machine."""
    yield from agree(outcomes)
    dry, wet = (outcomes[name].code for name in ("apply --dry-run", "apply -o"))
    if (dry == 0) != (wet in (0, 1)) and 3 not in (dry, wet):
        yield f"a dry-run with exit code {dry}, and {wet} when applied"


def agree(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """What is valid for a model can be dry-run on it, and what is not cannot."""
    checked, dry = (outcomes[name].code for name in ("validate --model", "apply --dry-run"))
    if checked == 0 and dry == 2:
        yield "a valid plan that a dry-run refuses"
    if checked == 2 and dry == 0:
        yield "a dry-run of what is not valid"


def plans_as_text(random: Random) -> Case:
    return with_plan(plan_text(random.choice(corpus.plans()), random), random)


def plans_as_nodes(random: Random) -> Case:
    return with_plan(plan_nodes(random.choice(corpus.plans()), random), random)
