"""Values that something might run, read, resolve, expand, count with or print: all harmless, each with a canary."""

from __future__ import annotations

import base64
import marshal
from random import Random
from typing import Any

from tests.fuzz.judge import CANARY, SECRET_FILE, SECRET_NAME

MARKUP = "<img src=x onerror=canary>"
"""Shows up in a page unless it is escaped."""

_CODE = f"open({CANARY!r}, 'w').close()"

NAMES = (
    f"${{oc.env:{SECRET_NAME}}}",
    f"${{oc.decode:${{oc.env:{SECRET_NAME}}}}}",
    "${params.std}",
    "${now:%Y}",
    "a,b",
    "a=b",
    "a:b",
    "a|b",
    "[x](y)",
    "`x`",
    "range(3)",
    "glob(*)",
    "choice(1,2)",
    "{a: 1}",
    "'",
    '"',
    "\\",
    "../../escape",
    "/tmp/escape",
    "dense/kernel",
    ".",
    "..",
    "",
    " ",
    "-",
    "--output",
    f"=cmd|'/c {CANARY}'!A0",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    MARKUP,
    "</script><script>canary</script>",
    "&amp;",
    "%s%n",
    "{0.__class__}",
    "\x1b[31mred\x1b]0;title\x07",
    "a\nb",
    "a\r\nb",
    "\0",
    "\ud800",
    "\u202etxt.exe",
    "e\u0301",
    "é",
    "x" * 300,
    "x" * 300_000,
    "__lambda__",
    "__class__",
    "keras.layers.Lambda",
    SECRET_FILE,
)
"""Names of layers, models, plans, metrics: data in every grammar that they pass."""

NUMBERS = (
    *(0, -1, 1, 2, 7, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64),
    *(10**30, 10**400, 0.5, -0.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"), True),
)

CLASSES = (
    *("Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "StringLookup", "TextVectorization"),
    *("layers.TFSMLayer", "layers.Lambda", "ops.numpy.save", "utils.get_file", "Sequential", "Functional", "Model"),
    *(
        "Dense",
        "Conv2D",
        "LSTM",
        "BatchNormalization",
        "Embedding",
        "InputLayer",
        "MultiHeadAttention",
        "Bidirectional",
    ),
    *("__lambda__", "__numpy__", "__tensor__", "__typespec__", "function", "system", "eval", "open", "NoSuchClass"),
)
MODULES = (
    *("keras", "keras.layers", "keras.src.layers", "keras.src.saving.serialization_lib", "keras.utils", "builtins"),
    *("os", "subprocess", "importlib", "keras_hub.layers", "canary_module", "", "..", "numpy", None),
)
REGISTERED = ("Custom>Canary", "keras>Dense", "Lambda", "keras.layers>Lambda", "canary_module>Canary", "x", "", None)


def lambda_code() -> dict[str, Any]:
    """A function as Keras serialises one: building it is to run code."""
    code = compile(f"lambda *a, **k: {_CODE}", "canary", "eval").co_consts[0]
    value = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": value, "defaults": None, "closure": None}}


def named_object(random: Random) -> dict[str, Any]:
    """A mapping that asks Keras to build something, by one of the ways to name it."""
    made: dict[str, Any] = {"class_name": random.choice(CLASSES), "config": object_config(random)}
    if random.random() < 0.7:
        made["module"] = random.choice(MODULES)
    if random.random() < 0.5:
        made["registered_name"] = random.choice(REGISTERED)
    return made


def object_config(random: Random) -> Any:
    return random.choice(
        (
            {},
            {"name": "hostile"},
            {"function": lambda_code(), "name": "hostile"},
            {"function": _CODE},
            {"vocabulary": SECRET_FILE},
            {"filepath": SECRET_FILE, "call_endpoint": "serve"},
            {"module": {"class_name": "__lambda__"}},
            {"units": random.choice(NUMBERS), "activation": lambda_code()},
            {
                "units": 3,
                "kernel_initializer": {"class_name": random.choice(CLASSES), "config": {"value": lambda_code()}},
            },
            {"layer": {"class_name": "Lambda", "config": {"function": lambda_code()}}},
            {"layers": []},
            "not a mapping",
            None,
        )
    )


def value(random: Random) -> Any:
    """Any hostile value."""
    kind = random.randrange(8)
    if kind < 3:
        return random.choice(NAMES)
    if kind < 5:
        return random.choice(NUMBERS)
    if kind == 5:
        return named_object(random)
    if kind == 6:
        return lambda_code()
    return random.choice((None, [], {}, [[]], {"": {}}, [None] * 3, "null", "1e3", "0x10", "yes", list(range(50))))
