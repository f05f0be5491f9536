"""Naming: layers and models get other names, and stay what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import PlanError, Problem
from mutspec.language.checks import regex_problems
from mutspec.language.types import PlanValue, Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.name_patterns import NAME, has_places, name_by, name_problems, place_problems
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import LayerSpec
from mutspec.structure import edits
from mutspec.structure.layer_edit import EditKind, LayerEdit
from mutspec.structure.network import Network
from mutspec.text.words import listed

_GROUP = r"\\([0-9\\])"
"""What stands for a group of a regular expression in its replacement, as in RE2: `\\1`; and a backslash: `\\\\`."""


class Replacement(PlanValue, frozen=True):
    """New names by a regular expression, which matches the whole of each old name."""

    regex: Annotated[
        str, Meta(description="A regular expression (RE2) that matches the whole name.", examples=["conv_([0-9]+)"])
    ]
    with_: Annotated[
        str, Meta(description="The new name: `\\1` is what the first group matched.", examples=["c\\1"])
    ] = field(name="with")


class RenameLayer(StructureOp, tag="rename_layer", frozen=True, kw_only=True):
    r"""Give layers other names. Their weights, and their random streams in later steps, stay the same.

    Several layers are renamed at once: `to: "a_{name}"` puts something around each name, and `to: {regex: 'conv_(.*)',
    with: 'c_\1'}` changes it by a regular expression (RE2), which must match the whole of each name.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"to": "backbone_out"})

    target: Annotated[Target, Meta(description="The layers to rename.")]
    to: Annotated[
        str | Replacement,
        Meta(
            description="The new name. For several layers, `{name}` is the old one and `{model}` that of the model; "
            "or a regular expression and its replacement.",
            examples=["backbone_out", "a_{name}"],
        ),
    ]

    def problems(self) -> Iterable[Problem]:
        if isinstance(self.to, Replacement):
            yield from (_replacement_problems(self.to))
        else:
            literally = f"; for braces in a name write `to: {{regex: '.*', with: '{self.to}'}}`"
            yield from place_problems(self.to, "to", literally)
            yield from name_problems(self.to, "to")

    def restructure(self, ctx: StructureContext) -> None:
        layers = _without_inner(ctx, ctx.select(self.target, "target"))
        if len(layers) > 1 and isinstance(self.to, str) and NAME not in self.to:
            paths = listed([layer.path for layer in layers])
            raise PlanError(
                f"`to` renames one layer, but the target matches {len(layers)} layers: {paths}",
                path=("target",),
                hint='put their names into the new ones, `to: "new_{name}"`, or write a step for each of them',
            )
        groups: dict[str, list[FoundLayer]] = {}
        for layer in layers:
            found = ctx.locate(layer, "target")
            groups.setdefault(found.owner, []).append(found)
        # Layers in a model first, so that the paths of the others do not change under them.
        for owner in sorted(groups, key=lambda owner: -len(owner.split("/")) if owner else 0):
            self._rename(ctx, owner, groups[owner])

    def _rename(self, ctx: StructureContext, owner: str, layers: Iterable[FoundLayer]) -> None:
        """Renames some layers of one network at once, so that they may also exchange names."""
        new = {found.name: self._new_name(found) for found in layers}
        taken = {name: name for name in ctx.network(owner).layers if name not in new}
        for name, to in new.items():
            if to == name and len(new) == 1:
                raise PlanError(f"`{join(owner, name)}` is called that already", path=("to",), hint="give another name")
            if to in taken:
                other = taken[to]
                message = f"the model has a layer `{to}` already"
                if other in new:
                    message = f"`{other}` and `{name}` would both be called `{to}`"
                elif len(new) > 1:
                    message = f"`{name}` would be called `{to}`, as another layer of the model is"
                raise PlanError(message, path=("to",), hint="give another name")
            taken[to] = name
        changed = {name: to for name, to in new.items() if name != to}
        renamed = {join(owner, to): join(owner, name) for name, to in changed.items()}
        ctx.edit(owner, partial(edits.rename_all, names=changed), renamed=renamed)

    def _new_name(self, found: FoundLayer) -> str:
        if isinstance(self.to, str):
            return name_by(self.to, found.name, found.network.name) if has_places(self.to) else self.to
        import re2

        match = re2.fullmatch(self.to.regex, found.name)
        if match is None:
            raise PlanError(
                f"`{self.to.regex}` does not match the whole of `{found.name}`",
                path=("to", "regex"),
                hint=f'choose only layers that it matches: `target: "re:{self.to.regex}"`',
            )
        name: str = re2.sub(
            _GROUP, lambda group: match[int(group[1])] or "" if group[1] != "\\" else "\\", self.to.with_
        )
        for problem in name_problems(name, "to", "with"):
            raise PlanError(problem)
        return name


def _without_inner(ctx: StructureContext, layers: tuple[LayerSpec, ...]) -> tuple[LayerSpec, ...]:
    """Returns some layers without those inside a layer that calls them itself, if it is one of them, too.

    A pattern such as `*` matches the cells of a Bidirectional, whose paths change with its own.
    """
    chosen = {layer.path for layer in layers}

    def is_inner(layer: LayerSpec) -> bool:
        owner, _, name = layer.path.rpartition("/")
        network = edits.level(ctx.context.architecture.network, owner)
        is_called_by_code = network is None or name not in network.layers
        return is_called_by_code and owner in chosen

    return tuple(layer for layer in layers if not is_inner(layer))


def _replacement_problems(to: Replacement) -> Iterator[Problem]:
    found = [*regex_problems(to.regex, ("to", "regex")), *name_problems(to.with_, "to", "with")]
    yield from found
    if not found:
        import re2

        groups = re2.compile(to.regex).groups
        marks = [each[1:] for each in re2.findall(r"\\\\|\\.?", to.with_)]
        wrong = [each for each in marks if each != "\\" and not (each.isdecimal() and int(each) <= groups)]
        if wrong:
            message = f"`\\{wrong[0]}` is not a group of `{to.regex}`, which has {groups}"
            yield Problem(message, path=("to", "with"), hint="put what it is to stand for in parentheses")


class RenameModel(StructureOp, tag="rename_model", frozen=True, kw_only=True):
    """Give the model another name, or a model in it, such as one of two copies of a model that are to be joined."""

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"to": "student"})

    to: Annotated[str, Meta(description="Its new name.", examples=["student"])]
    model: Annotated[str | UnsetType, Meta(description="The path of a model in the model. Default: the outermost.")] = (
        UNSET
    )

    def problems(self) -> Iterable[Problem]:
        return name_problems(self.to, "to")

    def restructure(self, ctx: StructureContext) -> None:
        if self.model is not UNSET:
            self._rename_inner(ctx, self.model)
            return
        old = ctx.network("").name
        if old == self.to:
            raise PlanError(f"the model is called `{old}` already", path=("to",), hint="give another name")
        ctx.edit("", lambda network: edits.renamed_network(network, self.to))
        kind = ctx.context.models[""].class_name
        ctx.context.edits.append(LayerEdit(EditKind.RENAMED, self.to, kind, before=old))

    def _rename_inner(self, ctx: StructureContext, path: str) -> None:
        owner, _, name = path.rpartition("/")
        network = edits.level(ctx.context.architecture.network, owner)
        if network is None or not isinstance(network.layers.get(name), Network):
            is_layer = path in ctx.context.models[""].layer_by_path
            message = f"`{path}` is a layer, and not a model" if is_layer else f"the model has no model `{path}`"
            hint = "use `rename_layer`" if is_layer else "`mutspec inspect` shows the paths of models in a model"
            raise PlanError(message, path=("model",), hint=hint)
        if name == self.to:
            raise PlanError(f"`{path}` is called that already", path=("to",), hint="give another name")
        ctx.refuse_name(owner, self.to, ("to",), "give another name")
        edit = partial(edits.rename, name=name, new_name=self.to)
        ctx.edit(owner, edit, renamed={join(owner, self.to): path})
