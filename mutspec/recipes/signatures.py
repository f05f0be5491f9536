"""Signatures of files by OpenSSH keys, as git has them: ssh-keygen makes and checks them.

The signature of `FILE` lies in `FILE.sig`. It is made for the namespace `mutspec`, so that one that was made for an
e-mail or a commit does not count. A file of allowed signers says which keys are whose; `man ssh-keygen` describes it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from mutspec.errors import CallError, CheckError, EnvironmentProblem
from mutspec.execute.output import check_output, replacing, write_at
from mutspec.language.files import called_like

NAMESPACE = "mutspec"
"""What signatures of mutspec are for."""
SUFFIX = ".sig"
_MOST_BYTES = 1 << 16
"""The most bytes of a signature. One by an RSA key of 16,384 bits, the largest that OpenSSH takes, has 6,000."""
_NOT_REASONS = ("Signing ", "Could not verify signature", "@", "It is required that", "Enter passphrase")
"""How the lines of ssh-keygen begin that do not say why it failed, or not that alone."""


def signature_of(path: Path) -> Path:
    """Returns the file that holds the signature of a file."""
    return path.with_name(path.name + SUFFIX)


def check_signable(path: Path, key: Path, *, force: bool) -> None:
    """Checks that a file can be signed, before anything is asked or written.

    Arguments:
        path: the file.
        key: the key.
        force: whether to replace an older signature.

    Raises:
        CallError: the file or the key does not exist, or is not a file; or there is a signature already.
    """
    for each, what in ((path, "the file to sign"), (key, "the key")):
        _check_file(each, what)
    check_output(signature_of(path), (path, key), force=force)


def sign(path: Path, key: Path, *, force: bool = False) -> Path:
    """Signs a file. ssh-keygen asks for the key's passphrase by itself, or has an agent sign.

    Arguments:
        path: the file.
        key: a private key; or a public one, whose private key the agent has.
        force: whether to replace an older signature.

    Returns:
        The signature's file. It is written whole or not at all.

    Raises:
        CallError: as for `check_signable`; or ssh-keygen cannot sign with the key.
        EnvironmentProblem: there is no ssh-keygen, or the disk is full.
    """
    check_signable(path, key, force=force)
    with tempfile.TemporaryDirectory(prefix="mutspec-") as folder:
        # ssh-keygen writes the signature beside the file. The terminal stays its standard input, for passphrases.
        link = Path(folder) / "file"
        link.symlink_to(path.absolute())
        done = _ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(link)])
        made = signature_of(link)
        if done.returncode or not made.is_file():
            raise CallError(f"{path} cannot be signed with {key}: {_reason(done) or 'ssh-keygen does not say why'}")
        content = made.read_bytes()
    output = signature_of(path)
    with replacing(output, force=force) as (descriptor, _):
        write_at(descriptor, content, 0)
    return output


def check(path: Path, identity: str, signers: Path) -> None:
    """Checks that somebody has signed a file as it is.

    Arguments:
        path: the file. Its signature lies beside it.
        identity: who is to have signed it, as the file of signers names them: often an e-mail address.
        signers: the file of allowed signers: lines of identities and public keys.

    Raises:
        CheckError: there is no signature; or it is not of this file, not by a key of this identity, or damaged.
        CallError: the file or that of the signers does not exist.
        EnvironmentProblem: there is no ssh-keygen.
    """
    _check_file(path, "the signed file")
    _check_file(signers, "the file of signers")
    signature = signature_of(path)
    if not signature.is_file():
        raise CheckError(f"{path} is not signed: there is no {signature}", hint=f"mutspec sign {path} --key KEY")
    if signature.stat().st_size > _MOST_BYTES:
        raise CheckError(f"{signature} is not a signature: it has {signature.stat().st_size:,} bytes")
    options = ["-s", str(signature), "-f", str(signers)]
    with path.open("rb") as file:
        done = _ssh_keygen(["-Y", "verify", *options, "-I", identity, "-n", NAMESPACE], file)
    if done.returncode == 0:
        return
    if reason := _reason(done):
        raise CheckError(f"{path} is not signed by {identity}: {reason}", hint=_hint(reason))
    found = _ssh_keygen(["-Y", "find-principals", *options])
    names = ", ".join(found.stdout.split()) if found.returncode == 0 else ""
    raise CheckError(
        f"{path} is not signed by {identity}: "
        + (f"{signers} says that the key is that of {names}" if names else f"{signers} does not know the key"),
    )


def _check_file(path: Path, what: str) -> None:
    if path.is_dir():
        raise CallError(f"{what} {path} is a folder", hint="name a file")
    if not path.is_file():
        raise CallError(f"{what} {path} does not exist, or is not a file", candidates=called_like(path))


def _hint(reason: str) -> str:
    if "incorrect signature" in reason:
        return "the file was changed after it was signed"
    return "sign it again with `mutspec sign`" if "namespace" in reason else ""


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Returns why ssh-keygen failed, in its own words; empty if it does not say."""
    lines = (line.strip().rstrip(".") for line in done.stderr.splitlines())
    told = [line.removeprefix("Enter passphrase: ") for line in lines if line]
    kept = [line for line in told if not line.startswith(_NOT_REASONS)]
    if any("load public key" in line for line in kept):  # what it says of any file that is not a key
        return "it is not an OpenSSH key"
    text = "; ".join(kept)
    return text[:1].lower() + text[1:400]


def _ssh_keygen(arguments: Sequence[str], file: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
    """Calls ssh-keygen.

    Raises:
        EnvironmentProblem: there is none, or one that is too old.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise EnvironmentProblem(
            "there is no ssh-keygen, which makes and checks signatures", hint="install OpenSSH 8.2 or newer"
        )
    done = subprocess.run(
        [program, *arguments], stdin=file, capture_output=True, text=True, errors="replace", check=False
    )
    if "unknown option" in done.stderr or "illegal option" in done.stderr:
        raise EnvironmentProblem(
            f"{program} is too old to make and check signatures", hint="install OpenSSH 8.2 or newer"
        )
    return done
