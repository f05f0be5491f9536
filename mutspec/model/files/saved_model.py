"""Reading SavedModels and TensorFlow's checkpoints: their weights alone, without TensorFlow.

Keras 2 stores a model's configuration with it, and names each weight by its place in the model, so everything is known.
What `model.export` of Keras 3 writes holds variables alone, under the names that TensorFlow has for them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.build import Build, build_from_outline
from mutspec.model.config import parse_config, parse_json
from mutspec.model.files.archive import Archive, FilePart
from mutspec.model.files.inner_files import inner_file, read_inner
from mutspec.model.files.named_weights import WeightSlot, matched, places_of
from mutspec.model.files.stamp import stamp_of
from mutspec.model.files.tensor_bundle import Bundle, read_bundle
from mutspec.model.files.weights_file import read_config
from mutspec.model.files.wire import fields, message, text
from mutspec.model.limits import current_limits
from mutspec.model.outline import Outline, OutlineNode, join, outline_of

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_METADATA = "keras_metadata.pb"
_NOT_THE_MODELS = re.compile(
    r"(^|/)(optimizer|_optimizer|keras_api|save_counter|_metrics|metrics|_loss_tracker|seed_generator|_all_variables)/"
    r"|(^|/)_random_generator/|\.OPTIMIZER_SLOT/|^save_counter$"
)
"""The keys that training, random layers and exporting leave in a checkpoint."""

_GENERATORS = ("seed_generator_state", "StateVar")
"""The names that Keras 3 and TensorFlow give to the state of a random generator, at any place."""

_TRAINED = re.compile(r"(^|/)optimizer/_trainable_variables/\d+$")
"""Where Keras 3's optimizer holds the model's variables: TensorFlow stores each at the first place that it finds."""

_NUMBERED = re.compile(r"(layer|layer_with_weights)-(\d+)$")
_SYNONYMS = {"depthwise_kernel": "kernel", "u": "vector_u", "sn_u": "vector_u"}
_BACKWARD = "backward_"


def read_saved_model(path: Path, architecture: Path | None) -> Archive:
    """Reads a SavedModel's weights.

    Arguments:
        path: its folder.
        architecture: a file with the model's config, where it has none of its own.

    Raises:
        ModelError: it is damaged, incomplete, or above a limit.
    """
    folder = path / "variables"
    if folder.is_symlink() or not (folder / "variables.index").exists():
        raise ModelError(
            f"{path} is a SavedModel without weights (variables/variables.index)", hint="copy all its files"
        )
    bundle = read_bundle(folder / "variables.index")
    config: Mapping[str, Any] | None = None
    further: tuple[FilePart, ...] = ()
    if (path / _METADATA).exists():
        file = inner_file(path, _METADATA, str(path))
        further = (FilePart(file, stamp_of(file)),)
        config = _config_of(path)
    archive = _archive(path, bundle, config, architecture)
    return replace(archive, parts=(*bundle.parts, *further))


def read_checkpoint(path: Path, architecture: Path | None) -> Archive:
    """Reads a checkpoint's weights.

    Arguments:
        path: its index.
        architecture: a file with the model's config; None for a partial spec.

    Raises:
        ModelError: it is damaged, incomplete, or above a limit.
    """
    bundle = read_bundle(path)
    return replace(_archive(path, bundle, None, architecture), parts=bundle.parts)


def _archive(path: Path, bundle: Bundle, config: Mapping[str, Any] | None, architecture: Path | None) -> Archive:
    given = config if architecture is None else read_config(architecture)
    names = _names(bundle)
    if not names:
        raise ModelError(f"{path} holds no weights of a model", hint="save the model's weights again")
    empty = Archive(path, "", matched({}, None, path).spec, {}, None)
    if given is not None:
        outline = outline_of(given)
        found = _places(outline, names)
        strange = next((name for name, at in found.items() if not at), "")
        if not strange:
            stored = {at: bundle.extents[names[name]] for name, at in found.items()}
            build: Build = build_from_outline(outline, {at: (each.shape, each.dtype) for at, each in stored.items()})
            layers = {each.group: each.layer for each in places_of(outline).values()}
            extents = {tensor: stored[at] for tensor, at in build.stored.items()}
            return replace(empty, spec=build.spec, extents=extents, stored=stored, names=layers, config=given)
        if architecture is not None:
            raise ModelError(
                f"{path} holds the weight {strange}, which the architecture does not have",
                hint="is it the architecture of another model?",
            )
    spec_of = matched({name: bundle.extents[key] for name, key in names.items()}, None, path)
    return replace(empty, spec=spec_of.spec, extents=spec_of.extents)


def _names(bundle: Bundle) -> Mapping[str, str]:
    """Maps the name of each weight's variable to its key; a key stands for a name that two variables have."""
    by_name: dict[str, list[str]] = {}
    for key in bundle.extents:
        if not key.endswith(_VALUE) or not _is_the_models(key.removesuffix(_VALUE)):
            continue
        if bundle.variables.get(key, "").endswith(_GENERATORS):
            continue
        by_name.setdefault(bundle.variables.get(key, ""), []).append(key)
    found: dict[str, str] = {}
    for name, same in by_name.items():
        facts = {(bundle.extents[key].shape, bundle.extents[key].dtype, bundle.checksums[key]) for key in same}
        if name and len(facts) == 1:  # one variable at several places
            found[name] = same[0]
        else:
            found |= {key.removesuffix(_VALUE): key for key in same}
    return found


def _is_the_models(place: str) -> bool:
    return bool(_TRAINED.search(place)) or not _NOT_THE_MODELS.search(place)


def _places(outline: Outline, names: Mapping[str, str]) -> Mapping[str, str]:
    """Returns where Keras 3 stores each weight, by its name here; empty if the configuration does not explain it."""
    known = places_of(outline)
    known = {**_short_names(known), **known}
    found = {}
    for name, key in names.items():
        place = key.removesuffix(_VALUE).removeprefix("model/")
        at = _walked(outline.root, "", place.split("/"))
        found[name] = at or next((known[each].stored for each in _spellings(name) if each in known), "")
    twice = {at for at, count in Counter(found.values()).items() if count > 1}
    return {name: "" if at in twice else at for name, at in found.items()}


def _short_names(known: Mapping[str, WeightSlot]) -> Mapping[str, WeightSlot]:
    """Returns the other names that a weight may have: Keras 2 leaves out outer models, and the wrapped layer.

    A name that two weights would have is left out.
    """
    found: dict[str, list[WeightSlot]] = {}
    for path, place in known.items():
        *layers, role = path.split("/")
        spellings = (named[at:] for named in (layers, layers[:-1]) for at in range(len(named)))
        for short in {"/".join([*spelling, role]) for spelling in spellings}:
            found.setdefault(short, []).append(place)
    return {short: places[0] for short, places in found.items() if len(places) == 1}


def _spellings(name: str) -> Iterator[str]:
    """Yields the canonical paths that a variable's name may mean, the likeliest first.

    Keras 3 puts the model first, and names a layer's cell. Keras 2 has other names for some roles, and puts `backward_`
    before the name of a layer that Bidirectional was given for that direction. The config does not have this prefix.
    """
    for spelling in (name, name.partition("/")[2]):
        *layers, role = spelling.split("/")
        for named in (layers, layers[:-1]):
            for stated in (named, [*named[:-1], *(layer.removeprefix(_BACKWARD) for layer in named[-1:])]):
                for meant in (role, _SYNONYMS.get(role, role)):
                    yield "/".join([*stated, meant])


def _walked(node: OutlineNode, stored: str, steps: list[str]) -> str:
    """Follows steps through the graph of Keras 2's objects to a weight's stored path; empty if there is none."""
    step, rest = steps[0], steps[1:]
    if not rest:
        roles = [variable.role for variable in node.variables or ()]
        wanted = _SYNONYMS.get(step, step) if step not in roles else step
        return join(stored, join("vars", str(roles.index(wanted)))) if wanted in roles else ""
    child = _child(node, step)
    return "" if child is None else _walked(child, join(stored, child.stored[0]), rest)


def _child(node: OutlineNode, step: str) -> OutlineNode | None:
    counted = _NUMBERED.match(step)
    if counted is None:
        names = {step, step.lstrip("_"), f"_{step}"}
        return next((child for child in node.children if names & set(child.stored)), None)
    is_weighted = counted[1] == "layer_with_weights"
    children = [child for child in node.children if not is_weighted or _has_weights(child)]
    return children[int(counted[2])] if int(counted[2]) < len(children) else None


def _has_weights(node: OutlineNode) -> bool:
    return node.variables is None or bool(node.variables) or any(map(_has_weights, node.children))


def _config_of(path: Path) -> Mapping[str, Any] | None:
    """Returns the configuration that Keras 2 stored with a SavedModel; None if it is not a Functional or Sequential.

    Raises:
        ModelError: it is damaged, or above a limit.
    """
    shown = f"{_METADATA} in {path}"
    limits = current_limits()
    data = read_inner(path, _METADATA, limits.config_bytes, str(path))
    limits.check("config_bytes", len(data), shown)
    try:
        nodes = [message(node) for field, node in fields(data) if field == 1 and isinstance(node, bytes)]
    except ValueError as error:
        raise ModelError(f"{shown} is damaged ({error})", hint="copy the model again") from None
    root = next((node for node in nodes if text(node.get(3)) == "root"), {})
    written = text(root.get(5))
    if not written:
        return None
    found = parse_json(written, shown)
    entry = {"class_name": found.get("class_name"), "config": _plain(found.get("config"))}
    if not isinstance(entry["config"], Mapping) or "layers" not in entry["config"]:
        return None
    return parse_config(json.dumps(entry), shown)


def _plain(value: Any) -> Any:
    """Returns a configuration whose shapes are lists, as in model files."""
    if isinstance(value, Mapping):
        if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
            return [_plain(item) for item in value["items"]]
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
