"""Builds, bundles and verdicts are signed, and whatever was changed since is found."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.artifacts.files import SIGNATURE_NAME
from deploy.artifacts.signature import Signer, signature_path
from deploy.handoff.bundle_zip import opened, pack
from tests.deploy.builds import edit_manifest, run

serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
PEM = serialization.Encoding.PEM
Spoil = Callable[[Path, Path], object]


def key_pair(folder: Path, name: str, seed: int) -> tuple[Path, Path]:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(PEM, form, none))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(PEM, form))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    key_pair(folder, "own", 1)
    key_pair(folder, "other", 2)
    return folder


@pytest.fixture
def signed(copy: Path, keys: Path) -> Path:
    """A build, signed."""
    Signer.load(keys / "own.pem").sign(copy / "manifest.json")
    return copy


def asked(path: Path, public: Path) -> tuple[int, str]:
    """Return exit code and last line of a verification that runs no network."""
    result = run("verify", path, "--key", public, "--backend", "none")
    return result.exit_code, result.stderr.strip().splitlines()[-1]


def edit_envelope(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / SIGNATURE_NAME
    envelope = json.loads(path.read_text())
    change(envelope)
    path.write_text(json.dumps(envelope))


def forge(envelope: dict) -> None:
    envelope["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()


SPOILED: dict[str, tuple[Spoil, str]] = {
    "another manifest": (
        lambda build, _: edit_manifest(build, lambda manifest: manifest.update(model="x")),
        "is not the file that was signed",
    ),
    "no signature": (lambda build, _: (build / SIGNATURE_NAME).unlink(), "is not signed"),
    "another's": (
        lambda build, keys: Signer.load(keys / "other.pem").sign(build / "manifest.json"),
        "is signed with .*, not with .*own.pub",
    ),
    "forged": (lambda build, _: edit_envelope(build, forge), "forged or damaged"),
    "of no key": (
        lambda build, _: edit_envelope(build, lambda envelope: envelope.update(signatures=[])),
        "signed with no key",
    ),
    "of another type": (
        lambda build, _: edit_envelope(build, lambda envelope: envelope.update(payloadType="x")),
        "is not the file that was signed",
    ),
    "no envelope": (
        lambda build, _: (build / SIGNATURE_NAME).write_text("{}"),
        "payload is missing|signatures",
    ),
}


@pytest.mark.parametrize(("spoil", "says"), SPOILED.values(), ids=SPOILED)
def test_what_was_changed_is_refused_before_it_is_read(
    spoil: Spoil, says: str, signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("deploy.verify.verdict.read_manifest", read)
    spoil(signed, keys)
    code, line = asked(signed, keys / "own.pub")
    assert code == 1
    assert re.search(says, line), line


def test_a_signed_build_is_verified_and_built_over(
    keys: Path, tiny_weights: Path, picture: Path, tmp_path: Path
) -> None:
    words = ["build", "--model", "tiny", "--weights", tiny_weights, "--precision", "fp32"]
    words += ["--out", tmp_path, "--verify-images", picture]
    made = run(*words, "--sign", keys / "own.pem")
    assert made.exit_code == 0, made.output
    folder = tmp_path / "tiny"
    path, manifest = folder / SIGNATURE_NAME, (folder / "manifest.json").read_bytes()
    first = path.read_bytes()
    named = ["--weights", tiny_weights, "--images", picture]
    verified = run("verify", folder, "--key", keys / "own.pub", *named)
    assert verified.exit_code == 0, verified.output
    Signer.load(keys / "own.pem").sign(folder / "manifest.json")
    assert path.read_bytes() == first
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert not path.exists(), "a signature of the build before stays"
    assert (folder / "manifest.json").read_bytes() == manifest, "signing changes what is signed"


def test_a_bundle_and_the_verdict_on_its_return(
    small_build: Path, vacc_only: Path, keys: Path, tmp_path: Path, monkeypatch
) -> None:
    bundle, returned = tmp_path / "signed.zip", tmp_path / "returned"
    signing = ["--sign", keys / "own.pem"]
    made = run("handoff", "--vendor", "vacc", small_build, "--out", bundle, *signing)
    assert made.exit_code == 0, made.output
    with opened(bundle) as whole, opened(vacc_only) as plain:
        files = {path.relative_to(whole).as_posix() for path in whole.rglob("*")}
        assert files - {SIGNATURE_NAME} == {
            path.relative_to(plain).as_posix() for path in plain.rglob("*")
        }
        assert (whole / "manifest.json").read_bytes() == (plain / "manifest.json").read_bytes()
        returned.mkdir()
        for path in (whole / "golden" / "float").iterdir():
            np.save(returned / path.name, np.load(path))
        shutil.copytree(whole, tmp_path / "changed")
    checked = run("handoff", "--check", bundle, "--key", keys / "own.pub")
    assert checked.exit_code == 0, checked.output
    for public, zipped in (("other", bundle), ("own", vacc_only)):
        refused = run("handoff", "--check", zipped, "--key", keys / f"{public}.pub")
        assert refused.exit_code == 1
        assert "signed" in refused.stderr
    edit_manifest(tmp_path / "changed", lambda manifest: manifest.update(weights_licence="mine"))
    pack(tmp_path / "changed", tmp_path / "changed.zip")
    judged = ["verify", "--returned", returned, "--report", tmp_path / "page.html"]
    refused = run(*judged, tmp_path / "changed.zip", "--key", keys / "own.pub")
    assert "is not the file that was signed" in refused.stderr
    assert not (tmp_path / "page.html").exists()
    monkeypatch.chdir(tmp_path)
    unnamed = run("verify", "--returned", returned, bundle, *signing)
    assert "signed: small-vacc-returned-verdict.dsse.json" in unnamed.stderr
    record = tmp_path / "small-vacc-returned-verdict.json"
    assert run("verify", record, "--key", keys / "own.pub").exit_code == 0
    record.write_text("no verdict")
    assert run("verify", "--returned", returned, bundle, *signing).exit_code == 2
    assert record.read_text() == "no verdict"
    run(*judged, bundle, "--key", keys / "own.pub", *signing)
    record = tmp_path / "page.json"
    signed = run("verify", record, "--key", keys / "own.pub", "--json")
    assert json.loads(signed.stdout)["schema"] == "esrdeploy.cli.verify-signature/1"
    assert json.loads(signed.stdout)["signed"] is True
    record.write_bytes(record.read_bytes().replace(b"false", b"true"))
    assert run("verify", record, "--key", keys / "own.pub").exit_code == 1
    run(*judged, bundle)
    assert not signature_path(record).exists(), "a signature of the verdict before stays"


@pytest.mark.parametrize("content", [b"", b"no key", bytes(range(256))], ids=len)
def test_what_is_no_key_is_refused(content: bytes, built: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    for words in (
        ["verify", built, "--key", tmp_path / "key"],
        ["build", "--model", "x4plus", "--sign", tmp_path / "key", "--out", tmp_path / "out"],
        ["handoff", "--vendor", "vacc", built, "--sign", tmp_path / "key"],
    ):
        refused = run(*words)
        assert refused.exit_code == 2, refused.output
        assert "openssl" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_another_kind_of_key_is_refused(copied_key: Path, built: Path) -> None:
    refused = run("handoff", "--vendor", "vacc", built, "--sign", copied_key)
    assert "is no Ed25519 key" in refused.stderr


@pytest.fixture
def copied_key(tmp_path: Path) -> Path:
    """A private key of another kind."""
    x25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "other-kind.pem"
    path.write_bytes(x25519.X25519PrivateKey.generate().private_bytes(PEM, form, none))
    return path
