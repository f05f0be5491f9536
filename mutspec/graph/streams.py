"""Keys of random streams. A draw depends on the seed, the stream's name, the tensor's origin and the draw's name."""

from __future__ import annotations

from hashlib import blake2b

STREAM_VERSION = "1"
"""A part of the language: with the same version, plans replay with the same bits. Golden digests in tests check it."""

STREAM_VERSIONS = (STREAM_VERSION,)
"""The versions with which this engine can replay plans, the newest last."""


def unknown_streams(version: str, of: str) -> str:
    """Returns why this engine cannot replay something because of its random streams; empty if it can.

    Arguments:
        version: the version that it states. Anyone may have written it.
        of: what it is: "the lock".
    """
    if version in STREAM_VERSIONS:
        return ""
    is_newer = version.isdecimal() and len(version) < 9 and int(version) > int(STREAM_VERSIONS[-1])
    what = "a newer one does" if is_newer else "it no longer can, or the version is wrong"
    known = ", ".join(STREAM_VERSIONS)
    return f"the random streams of {of} have version {version[:20]}, and this mutspec replays {known}: {what}"


def stream_key(seed: int, stream: str, origin: str, draw: str) -> bytes:
    """Returns the 128-bit key of one draw.

    Arguments:
        seed: the step's seed.
        stream: the step's stream name.
        origin: the immutable origin of the tensor (or of the layer; empty for a draw over all targets).
        draw: the name of the draw within the step.
    """
    digest = blake2b(digest_size=16)
    for part in (STREAM_VERSION, str(seed), stream, origin, draw):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


def uniform_64_bits(key: bytes) -> int:
    """Returns the uniform 64-bit number of a key, for draws while compiling."""
    return int.from_bytes(blake2b(b"uniform", key=key, digest_size=8).digest(), "little")
