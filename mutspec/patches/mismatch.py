"""Says how a model differs from the one that a patch is for."""

from __future__ import annotations

from mutspec.access.fingerprint import Fingerprint
from mutspec.errors import CheckError
from mutspec.model.files.archive import Archive
from mutspec.patches.file import PatchFile
from mutspec.text.words import listed_plainly, plural

_NAMED = 3
"""The most weights that an error names; the others are counted."""


def refuse_other_model(archive: Archive, found: Fingerprint, patch: PatchFile, *, is_reverse: bool) -> None:
    """Refuses a model that is not the one that a patch is for.

    Arguments:
        archive: the model.
        found: its fingerprint.
        patch: the patch.
        is_reverse: whether it is to be undone.

    Raises:
        CheckError: it is another model. The message names the weights that differ.
    """
    document = patch.document
    before, after = document.fingerprint_before(), document.fingerprint_after()
    expected, other = (after, before) if is_reverse else (before, after)
    if found == expected:
        return
    if found == other:
        raise CheckError(
            f"{archive.path} does not have the change of {patch.path}, so it cannot be undone"
            if is_reverse
            else f"{archive.path} has the change of {patch.path} already",
            hint="leave out --reverse to make the change" if is_reverse else "--reverse undoes it",
        )
    side = document.after if is_reverse else document.before
    reasons = [
        _named("differ from", [path for path in _common(found, expected) if _differs(found, expected, path)]),
        _named("are missing, and are in", [path for path in expected.tensors if path not in found.tensors]),
        _named("are not in", [path for path in found.tensors if path not in expected.tensors]),
    ]
    name = side.name[:80]
    what = "; ".join(f"{reason} {name}" for reason in reasons if reason)
    if not what:
        what = f"all weights are the same, but layers, their settings or connections differ from {name}"
    hint = "apply the patch to a copy of the model that it was made from, under any name"
    if archive.spec.is_partial and found.structure != expected.structure:
        hint = f"{archive.path.name} holds weights alone: give the model's architecture by --architecture FILE"
    raise CheckError(f"{archive.path} is not the model that {patch.path} changes: {what}", hint=hint)


def differing_weights(found: Fingerprint, expected: Fingerprint) -> str:
    """Returns what differs between two models, in words: the weights, or else the structure."""
    paths = [
        path
        for path in dict.fromkeys((*expected.tensors, *found.tensors))
        if found.tensors.get(path) != expected.tensors.get(path)
    ]
    return _named("differ", paths) or "the architecture differs"


def _common(found: Fingerprint, expected: Fingerprint) -> list[str]:
    return [path for path in expected.tensors if path in found.tensors]


def _differs(found: Fingerprint, expected: Fingerprint, path: str) -> bool:
    return found.tensors[path] != expected.tensors[path]


def _named(verb: str, paths: list[str]) -> str:
    """Returns a phrase such as "`a` and `b` differ"; empty if there is nothing to name."""
    if not paths:
        return ""
    shown = [f"`{path[:120]}`" for path in paths[:_NAMED]]
    more = len(paths) - _NAMED
    text = listed_plainly([*shown, plural(more, "other weight")] if more > 0 else shown)
    singular = {"differ": "differs", "differ from": "differs from", "are not in": "is not in"}
    singular["are missing, and are in"] = "is missing, and is in"
    return f"{text} {singular[verb] if len(paths) == 1 else verb}"
