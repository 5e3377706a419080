"""Sign the manifest of a build or a bundle, whose digests cover every other file, and check it.

A signature is a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol version 1)
beside what it signs: base64 of the content, its type, and Ed25519 signatures (RFC 8032) of

    "DSSEv1" SP len(type) SP type SP len(content) SP content

Equal content and key give equal bytes. This module alone imports ``cryptography``.
"""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calib.digest import sha256_bytes
from calib.errors import UsageError, VerificationError
from calib.extras import install_command
from calib.files import read_whole, write_atomically
from calib.records import encode, read

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PAYLOAD_TYPE = "application/vnd.esrdeploy+json"
_MAKE_KEY = "'openssl genpkey -algorithm ed25519 -out key.pem' makes one"
_MAKE_PUBLIC = "'openssl pkey -in key.pem -pubout -out key.pub' makes one of a private key"


@dataclass(frozen=True)
class EnvelopeSignature:
    """One signature of an envelope.

    Attributes:
        keyid: sha256 of the public key, as SubjectPublicKeyInfo in DER.
        sig: Ed25519 signature, base64.
    """

    keyid: str
    sig: str


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope; its names are the specification's.

    Attributes:
        payload: the content, base64.
        payloadType: what the content is.
        signatures: of the two.
    """

    payload: str
    payloadType: str  # noqa: N815  # as the specification spells it
    signatures: tuple[EnvelopeSignature, ...]


@dataclass(frozen=True, eq=False)
class Signer:
    """Who signs.

    Attributes:
        key: an Ed25519 private key.
    """

    key: "Ed25519PrivateKey"

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read a private key in PEM, without a password.

        Raises:
            UsageError: it cannot be read, is no such key, or ``cryptography`` is not installed.
        """
        asymmetric, serialization = _library()
        try:
            key = serialization.load_pem_private_key(_content(path), None)
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path} is no private key in PEM without a password; {_MAKE_KEY}"
            ) from error
        if not isinstance(key, asymmetric.Ed25519PrivateKey):
            raise UsageError(f"{path} is no Ed25519 key; {_MAKE_KEY}")
        return cls(key)

    def sign(self, file: Path) -> Path:
        """Write the envelope of a file beside it, and return where.

        Raises:
            UsageError: it cannot be written.
        """
        content = read_whole(file)
        signature = base64.b64encode(self.key.sign(_signed_bytes(content))).decode("ascii")
        made = EnvelopeSignature(_key_id(self.key.public_key()), signature)
        payload = base64.b64encode(content).decode("ascii")
        path = signature_path(file)
        write_atomically(path, encode(Envelope(payload, PAYLOAD_TYPE, (made,))))
        return path


@dataclass(frozen=True, eq=False)
class Verifier:
    """Whose signature is asked for.

    Attributes:
        key: an Ed25519 public key.
        source: the file that it was read from.
    """

    key: "Ed25519PublicKey"
    source: Path

    @classmethod
    def load(cls, path: Path) -> "Verifier":
        """Read a public key in PEM.

        Raises:
            UsageError: it cannot be read, is no such key, or ``cryptography`` is not installed.
        """
        asymmetric, serialization = _library()
        try:
            key = serialization.load_pem_public_key(_content(path))
        except ValueError as error:
            raise UsageError(f"{path} is no public key in PEM; {_MAKE_PUBLIC}") from error
        if not isinstance(key, asymmetric.Ed25519PublicKey):
            raise UsageError(f"{path} is no Ed25519 key; {_MAKE_PUBLIC}")
        return cls(key, path)

    @property
    def key_id(self) -> str:
        """Return the sha256 of the public key."""
        return _key_id(self.key)

    def require(self, file: Path) -> None:
        """Demand that a file is signed with the key.

        Raises:
            VerificationError: it has no signature, another's, or one of other content.
        """
        path = signature_path(file)
        if not path.is_file():
            raise VerificationError(f"{file} is not signed; expected {path.name} beside it")
        envelope = read(path, Envelope, VerificationError, "sign it again")
        content = read_whole(file)
        if envelope.payloadType != PAYLOAD_TYPE or _decoded(envelope.payload) != content:
            raise VerificationError(
                f"{file} is not the file that was signed: {path.name} holds other content"
            )
        own = [_decoded(item.sig) for item in envelope.signatures if item.keyid == self.key_id]
        if not own:
            signers = ", ".join(item.keyid[:12] for item in envelope.signatures) or "no key"
            raise VerificationError(
                f"{file} is signed with {signers}, not with {self.source} ({self.key_id[:12]})"
            )
        if not all(self._made(signature, content) for signature in own):
            raise VerificationError(f"{file}: its signature is forged or damaged")

    def _made(self, signature: bytes, content: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an extra

        try:
            self.key.verify(signature, _signed_bytes(content))
        except InvalidSignature:
            return False
        return True


def signature_path(file: Path) -> Path:
    """Return where the signature of a file lies.

    >>> signature_path(Path("dist/tiny/manifest.json")).name
    'manifest.dsse.json'
    """
    return file.with_suffix(f".dsse{file.suffix}")


def _signed_bytes(content: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode("ascii")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(content), content)


def _key_id(key: "Ed25519PublicKey") -> str:
    _, serialization = _library()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256_bytes(key.public_bytes(serialization.Encoding.DER, form))


def _decoded(text: str) -> bytes:
    """Return what base64 stands for; nothing where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _content(path: Path) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror or error}") from error


def _library() -> tuple[Any, Any]:
    """Return the modules of Ed25519 and of the forms that keys are stored in.

    Raises:
        UsageError: the package is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"signatures need the package cryptography: {install_command('sign')}"
        ) from error
    return ed25519, serialization
