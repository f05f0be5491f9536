"""JSON documents: the values that they hold, how these are written, and the schemas that describe them.

A document is declared once, as a msgspec struct whose fields are the document's keys in their order. How it is written
and read follows from that, and so does the schema under `schemas/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct

from mutspec.language.schema import SCHEMA_URL, schema_id
from mutspec.text.words import json_number

# A float that is written as a string where it is infinite or NaN, which JSON does not have. msgspec does not know the
# type `Real`, of which floats are instances, so it asks `number` to read one and `_schema_of` to describe it.
if TYPE_CHECKING:
    Number: TypeAlias = float
else:
    Number = Real

NOT_FINITE = ("inf", "-inf", "nan")
"""The numbers that are strings in a document."""

Count = Annotated[int, Meta(ge=0)]
"""A number of things."""

_NUMBER = {
    "description": "A number. Those that are not finite are strings.",
    "oneOf": [{"type": "number"}, {"enum": list(NOT_FINITE)}],
}
_DEFINITION = "#/$defs/"


def number(type_: type[Any], value: Any) -> float:
    """Reads a `Number`: a `dec_hook` of msgspec.

    Raises:
        ValueError: the value is not a number. msgspec adds where it stands.
    """
    if type_ is not Number:
        raise NotImplementedError(type_)
    if value in NOT_FINITE or (isinstance(value, int | float) and not isinstance(value, bool)):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("Number out of range") from None
    raise ValueError(f"Expected a number or one of {', '.join(NOT_FINITE)}")


def as_json(value: Any) -> Any:
    """Returns a value as JSON: structs become objects, tuples lists, and numbers that are not finite strings."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):  # NumPy's too
        return int(value)
    if isinstance(value, Real):
        return json_number(float(value))
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: as_json(each) for name, each in fields.items() if each is not UNSET}
    if isinstance(value, Mapping):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value


_HALVES = re.compile("[\ud800-\udfff]")


def json_bytes(document: Mapping[str, Any]) -> bytes:
    r"""Returns a JSON document as the content of a file. Half a character, which UTF-8 lacks, becomes `\ud800`."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _HALVES.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()


def document_schema(
    document: type[Struct],
    title: str,
    version: int,
    about_version: str = "",
    *,
    version_key: str = "format_version",
    has_defaults: bool = True,
) -> dict[str, Any]:
    """Returns the JSON schema (draft 2020-12) of what is written for a struct.

    Every key is required, unless its field can be UNSET, and no other key is allowed. What reads documents may be more
    lenient: older documents lack keys, and later ones have more.

    Arguments:
        document: the struct. Its documentation and that of the structs in it describe the objects.
        title: the document's title, `mutspec` and its name, which is in the schema's `$id` too.
        version: the value of the first key.
        about_version: a further description of that key.
        version_key: the name of that key.
        has_defaults: whether values are written that are the defaults of their fields.
    """
    _, components = msgspec.json.schema_components(
        [document], schema_hook=_schema_of, ref_template=_DEFINITION + "{name}"
    )
    definitions = {name: _closed(schema, has_defaults) for name, schema in components.items()}
    top = definitions.pop(document.__name__)
    for schema in (top, *definitions.values()):
        for key, value in schema["properties"].items():
            if "description" not in value and "$ref" in value:
                described = definitions[value["$ref"].removeprefix(_DEFINITION)]
                schema["properties"][key] = {"description": described["description"], **value}
    about = f"The version of this document's format.{about_version and ' ' + about_version}"
    top["properties"] = {version_key: {"description": about, "const": version}, **top["properties"]}
    top["required"] = [version_key, *top["required"]]
    about_itself = {"$id": schema_id(title.removeprefix("mutspec "), version), "title": title}
    return {"$schema": SCHEMA_URL, **about_itself, **top, "$defs": {"number": _NUMBER, **definitions}}


def _schema_of(type_: type[Any]) -> dict[str, Any]:
    if type_ is not Number:
        raise NotImplementedError(type_)
    return {"$ref": _DEFINITION + "number"}


def _closed(schema: dict[str, Any], has_defaults: bool) -> dict[str, Any]:
    """Returns an object's schema that requires every key. msgspec requires only those without a default."""
    properties, needed = schema["properties"], schema["required"]
    required = [key for key, value in properties.items() if key in needed or (has_defaults and "default" in value)]
    plain = {key: _without_default(value) for key, value in properties.items()}
    return {
        "description": schema["description"],
        "type": "object",
        "properties": plain,
        "required": required,
        "additionalProperties": False,
    }


def _without_default(value: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a value, and sorts the keys that it allows: versions of msgspec order them differently."""
    kept = {key: each for key, each in value.items() if key != "default"}
    if "enum" in (names := kept.get("propertyNames", {})):
        kept["propertyNames"] = {**names, "enum": sorted(names["enum"])}
    return kept
