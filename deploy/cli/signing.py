"""Define the options that sign, and check signatures before anything else is read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.console import print_json, say

if TYPE_CHECKING:
    from deploy.artifacts.signature import Signer

Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        help="Sign what is made with this Ed25519 private key (PEM); extra 'sign'.",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="PUB",
        help="Public key (PEM) that it must be signed with; exit 1 if it is not. Extra 'sign'.",
    ),
]


def signer_of(key: Path | None) -> "Signer | None":
    """Return who signs with a private key, before anything is made.

    Raises:
        UsageError: the key cannot be used.
    """
    from deploy.artifacts.signature import Signer

    return None if key is None else Signer.load(key)


def require_signed_builds(path: Path, key: Path | None) -> None:
    """Demand that every build at or under ``path`` is signed with a key, if one is given.

    Raises:
        UsageError: the key cannot be used, or there is no build.
        VerificationError: one is not.
    """
    if key is None:
        return
    from deploy.artifacts.files import MANIFEST_NAME
    from deploy.artifacts.find_build import find_builds
    from deploy.artifacts.signature import Verifier

    verifier = Verifier.load(key)
    for folder in find_builds(path):
        verifier.require(folder / MANIFEST_NAME)


def require_signed_bundle(bundle: Path, key: Path | None) -> None:
    """Demand that a bundle is signed with a key, if one is given.

    Raises:
        UsageError: the key cannot be used, or there is no bundle.
        VerificationError: it is not, or it is damaged.
    """
    if key is None:
        return
    from deploy.artifacts.files import MANIFEST_NAME
    from deploy.artifacts.signature import Verifier
    from deploy.handoff.bundle_zip import opened

    verifier = Verifier.load(key)
    with opened(bundle) as root:
        verifier.require(root / MANIFEST_NAME)


def show_signed_verdict(record: Path, key: Path, *, as_json: bool) -> None:
    """Demand that a verdict on a return is signed with a key, and say so.

    Raises:
        UsageError: the key cannot be used.
        VerificationError: it is not.
    """
    from deploy.artifacts.signature import Verifier

    verifier = Verifier.load(key)
    verifier.require(record)
    if as_json:
        content = {"file": str(record), "signed": True, "key_sha256": verifier.key_id}
        print_json("esrdeploy.cli.verify-signature/1", content)
    else:
        say(f"{record}: signed with {key}")
