"""Signatures by OpenSSH keys: who signed a file, that it is as it was, and what is said if not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mutspec.cli.signature_options import check_signed, signed_by_options
from mutspec.errors import CallError, CheckError, EnvironmentProblem
from mutspec.recipes.signatures import check, sign, signature_of
from tests.cli.conftest import called
from tests.cli.test_schemas import validator

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")

ALICE, BOB = "alice@example.org", "bob@example.org"


def make_key(path: Path, passphrase: str = "") -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys that are thrown away, and a file of allowed signers."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob", "mallory"):
        make_key(folder / name)
    make_key(folder / "locked", "a passphrase")
    lines = (f'{who} namespaces="mutspec" {(folder / f"{name}.pub").read_text()}' for who, name in
             ((ALICE, "alice"), (BOB, "bob")))  # fmt: skip
    (folder / "signers").write_text("".join(lines))
    return folder


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text("mutspec: 1\n")
    return path


def test_a_signed_file_is_known_by_who_signed_it(keys: Path, plan: Path) -> None:
    signature = sign(plan, keys / "alice")
    assert signature == plan.with_name("plan.yaml.sig")
    check(plan, ALICE, keys / "signers")
    with pytest.raises(CheckError, match=f"says that the key is that of {ALICE}"):
        check(plan, BOB, keys / "signers")


def test_a_file_that_was_changed_is_refused(keys: Path, plan: Path) -> None:
    sign(plan, keys / "alice")
    plan.write_text("mutspec: 1 \n")
    with pytest.raises(CheckError, match=r"plan\.yaml is not signed by alice@.*the file was changed after"):
        check(plan, ALICE, keys / "signers")


def test_a_stranger_another_purpose_and_rubbish_are_refused(keys: Path, plan: Path) -> None:
    with pytest.raises(CheckError, match=r"there is no .*plan\.yaml\.sig"):
        check(plan, ALICE, keys / "signers")
    sign(plan, keys / "mallory")
    with pytest.raises(CheckError, match="signers does not know the key"):
        check(plan, ALICE, keys / "signers")
    command = ["ssh-keygen", "-Y", "sign", "-f", str(keys / "alice"), "-n", "git"]
    made = subprocess.run(command, input=plan.read_bytes(), capture_output=True, check=True)
    signature_of(plan).write_bytes(made.stdout)
    with pytest.raises(CheckError, match="namespace does not match"):
        check(plan, ALICE, keys / "signers")
    for rubbish in (b"", b"rubbish", b"x" * (1 << 17)):
        signature_of(plan).write_bytes(rubbish)
        with pytest.raises(CheckError, match=r"plan\.yaml"):
            check(plan, ALICE, keys / "signers")


def test_what_cannot_be_signed_is_refused_before_anything_is_written(
    keys: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CallError, match=r"the key .*alcie does not exist"):
        sign(plan, keys / "alcie")
    with pytest.raises(CallError, match=r"the file to sign .* is a folder"):
        sign(plan.parent, keys / "alice")
    with pytest.raises(CallError, match="it is not an OpenSSH key"):
        sign(plan, keys / "signers")
    assert [each.name for each in plan.parent.iterdir()] == ["plan.yaml"]
    sign(plan, keys / "alice")
    before = signature_of(plan).read_bytes()
    with pytest.raises(CallError, match=r"plan\.yaml\.sig exists"):
        sign(plan, keys / "bob")
    assert signature_of(plan).read_bytes() == before
    sign(plan, keys / "bob", force=True)
    check(plan, BOB, keys / "signers")
    monkeypatch.setenv("PATH", str(plan.parent))
    with pytest.raises(EnvironmentProblem, match="there is no ssh-keygen"):
        check(plan, BOB, keys / "signers")


def test_the_passphrase_is_between_ssh_keygen_and_the_terminal(keys: Path, plan: Path) -> None:
    code = f"from mutspec.recipes.signatures import *; sign(Path({str(plan)!r}), Path({str(keys / 'locked')!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="wrong\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert "incorrect passphrase" in done.stderr
    assert not signature_of(plan).exists()


def test_the_command_signs_all_files_or_says_what_is_wrong(keys: Path, plan: Path) -> None:
    (plan.parent / "model.keras").write_bytes(b"model")
    key = ("--key", str(keys / "alice"))
    result = called("sign", "plan.yaml", "missing.yaml", *key)
    assert (result.code, signature_of(plan).exists()) == (2, False)
    result = called("sign", "plan.yaml", "model.keras", *key)
    assert (result.code, result.out) == (0, "Wrote plan.yaml.sig\nWrote model.keras.sig\n")
    result = called("sign", "plan.yaml", *key)
    assert (result.code, "--force" in result.err) == (2, True)
    assert called("sign", "plan.yaml", *key, "--force", "-q").out == ""


def test_commands_take_the_options_of_who_must_have_signed(keys: Path, plan: Path) -> None:
    @click.command()
    @signed_by_options
    def command(signed_by: str | None, signers: str | None) -> None:
        check_signed([plan], signed_by, signers)

    def call(*arguments: str) -> None:
        command.main(list(arguments), standalone_mode=False)

    call()
    with pytest.raises(click.UsageError, match="belong together; give --signers FILE too"):
        call("--signed-by", ALICE)
    with pytest.raises(CheckError):
        call("--signed-by", ALICE, "--signers", str(keys / "signers"))
    sign(plan, keys / "alice")
    call("--signed-by", ALICE, "--signers", str(keys / "signers"))


def test_verify_demands_the_signature_of_a_lock_before_it_replays_it(keys: Path, folder: Path) -> None:
    by_alice = ("--signed-by", ALICE, "--signers", str(keys / "signers"))
    assert called("verify", "plan.lock.yaml", *by_alice).code == 1
    assert called("sign", "plan.lock.yaml", "model.keras", "--key", str(keys / "alice"), "-q").code == 0
    done = called("verify", "plan.lock.yaml", "model.keras", *by_alice)
    assert done.code == 0, done.err
    assert "model.keras: signed by alice@example.org\n" in done.out
    assert "plan.lock.yaml: replayed on model.keras" in done.out
    document = json.loads(called("verify", "model.keras", *by_alice, "--json").out)
    validator("verify").validate(document)
    assert [(each["lock"], each["status"]) for each in document["locks"]] == [("model.keras", "signed")]
    with (folder / "plan.lock.yaml").open("a") as lock:
        lock.write("# another line\n")
    changed = called("verify", "plan.lock.yaml", *by_alice)
    assert (changed.code, changed.out) == (1, "")
    assert "plan.lock.yaml is not signed by alice@example.org" in changed.err


def test_the_signature_of_a_plan_counts_with_a_lock_beside_it_and_without(keys: Path, folder: Path) -> None:
    by_alice = ("--signed-by", ALICE, "--signers", str(keys / "signers"))
    (folder / "lonely.yaml").write_text("mutspec: 1\n")
    assert called("sign", "plan.lock.yaml", "lonely.yaml", "--key", str(keys / "alice"), "-q").code == 0
    assert called("verify", "lonely.yaml", *by_alice).code == 0
    assert "plan.yaml is not signed" in called("verify", "plan.yaml", *by_alice).err
    assert called("sign", "plan.yaml", "--key", str(keys / "alice"), "-q").code == 0
    done = called("verify", "plan.yaml", *by_alice)
    assert (done.code, "plan.yaml: signed by alice@example.org" in done.out, "replayed" in done.out) == (0, True, True)
    refused = called("verify", "lonely.yaml", *by_alice, "--output", "model.keras")
    assert (refused.code, "go with a lock" in refused.err) == (2, True)
