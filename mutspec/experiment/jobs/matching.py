"""The layers or tensors that a target chooses in a model, by names that choose each of them alone."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mutspec.errors import CallError, PlanError, nearest
from mutspec.experiment.model_files import check_file
from mutspec.language.document import parse
from mutspec.language.nodes import plain
from mutspec.language.target import load_target
from mutspec.model.files.opening import open_archive
from mutspec.model.select import SelectorIndex, as_glob, exact_pattern
from mutspec.model.spec import ModelSpec

KINDS = ("layer", "tensor")
"""The kinds of things that names can name."""

TARGET = "select"
"""The name of the target in messages."""

_BARE = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_READ_AS_VALUES = frozenset({"null", "true", "false", "inf", "nan"})
"""Words that Hydra takes for values; quoted they are text."""


def matching(
    spec: ModelSpec,
    target: str | Mapping[str, Any] | Sequence[Any],
    by: str = "layer",
    *,
    tell: Callable[[str], None] = warnings.warn,
) -> list[str]:
    """The names of what a target chooses, in model order. Each is a target that chooses that alone.

    A name that a plan or Hydra would read as more than a name comes as a glob: `[$]{x}` for what is called `${x}`.

    Arguments:
        spec: the model.
        target: as in a plan.
        by: whether names are of the layers that own the chosen weights, or of the weights: "layer" or "tensor".
        tell: is told what a person should know, such as weights that are left out as their roles are not known.

    Raises:
        PlanError: the target is wrong, or chooses nothing.
        CallError: `by` is neither.
    """
    if by not in KINDS:
        raise CallError(f"names are by layer or by tensor, not by `{by}`", candidates=nearest(str(by), KINDS))
    written = load_target(_text(target), TARGET)
    try:
        chosen = SelectorIndex(spec).tensors(written.target)
    except PlanError as error:
        raise PlanError([written.placed(problem) for problem in error.problems]) from None
    for note in chosen.notes:
        tell(note)
    if by == "tensor":
        return [exact_pattern(tensor.path) for tensor in chosen.tensors]
    own_names = Counter(layer.path.rpartition("/")[2] for layer in spec.layers)
    # A name without a `/` means layers of that name at any depth; a path with one is the path of one.
    return [
        exact_pattern(layer.path) if "/" in layer.path or own_names[layer.path] == 1 else f"{as_glob(layer.path)}/*"
        for layer in chosen.layers
    ]


def _text(target: str | Mapping[str, Any] | Sequence[Any]) -> str:
    if isinstance(target, str):
        return target
    try:
        text = json.dumps(target, ensure_ascii=False)
    except (TypeError, ValueError):
        text = ""
    if not text.startswith(("{", "[")):
        message = f"{target!r} is not a target"
        raise CallError(message, hint="give a name or path, a mapping such as {'type': 'Dense'}, or a list of them")
    return text


def register_resolvers() -> None:
    """Registers a resolver for sweeps over what matches: `${matching:${model.path},${sensitivity.select},layer}`.

    `${target:${sensitivity.select}}` is a target as a value, where it may be text. As text it is replaced by an
    override; the keys of a mapping would be added to it.
    """
    OmegaConf.register_new_resolver("matching", _matching_values, replace=True)
    OmegaConf.register_new_resolver("target", _target, replace=True)


def _matching_values(path: str, target: Any, by: str) -> str:
    """Returns what matches in a model file, in Hydra's grammar for the values of a sweep."""
    check_file(path)
    names = matching(open_archive(Path(path)).spec, _target(target), by)
    return ",".join(map(quoted, names))


def _target(written: Any) -> Any:
    """A target as a plan has it, from a part of a configuration."""
    if isinstance(written, str) and written.lstrip().startswith(("{", "[")):
        return plain(parse(written, TARGET).root)
    return OmegaConf.to_container(written, resolve=True) if OmegaConf.is_config(written) else written


def quoted(name: str) -> str:
    """A name as Hydra's grammar reads it back."""
    from hydra.core.override_parser.types import Quote, QuotedString

    is_bare = _BARE.fullmatch(name) and name.lower() not in _READ_AS_VALUES
    return name if is_bare else str(QuotedString(name, Quote.single).with_quotes())
