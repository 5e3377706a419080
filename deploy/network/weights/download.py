"""Download the official checkpoint of a model into the user's cache folder.

The file appears under its name only when it is complete and, where a hash is known, the right
one: it is written beside, checked, and renamed.
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from calib.errors import WeightsError
from calib.files import settle
from calib.user_cache import user_cache
from deploy.network.known_models import RELEASES_URL, ModelEntry

OnProgress = Callable[[int, int | None], None]

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0


def cache_folder() -> Path:
    """Return where downloaded checkpoints lie."""
    return user_cache("weights")


def cached_file(entry: ModelEntry, folder: Path | None = None) -> Path | None:
    """Return the official file if it was downloaded before."""
    path = (folder or cache_folder()) / entry.release / entry.official_file
    return path if path.is_file() else None


def download_official(
    entry: ModelEntry,
    *,
    releases_url: str = RELEASES_URL,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Download the official checkpoint of a model, unless the cache has it.

    Args:
        entry: the model.
        releases_url: where the releases lie, without the tag.
        folder: cache folder; ``None`` takes the user's.
        on_progress: called with the bytes received and, if the server tells, the bytes expected.

    Returns:
        The file in the cache.

    Raises:
        WeightsError: the server cannot be reached or refuses, the connection breaks, the file
            is not the one whose hash is known, or the cache folder cannot be written.
    """
    if (cached := cached_file(entry, folder)) is not None:
        return cached
    target = (folder or cache_folder()) / entry.release / entry.official_file
    url = entry.official_url(releases_url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
            partial = Path(part.name)
            try:
                digest = _fetch(url, part, on_progress)
                part.close()
                _require_digest(entry, url, digest)
                settle(partial, target)
            finally:
                partial.unlink(missing_ok=True)
                with suppress(OSError):  # it holds a file
                    target.parent.rmdir()
    except OSError as error:  # urllib's errors are OSErrors too
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the answer's connection
        raise WeightsError(f"cannot download {url}: {_reason(error)}; {_ADVICE}") from error
    except http.client.HTTPException as error:
        raise WeightsError(
            f"cannot download {url}: the server's answer is broken ({type(error).__name__}); "
            f"{_ADVICE}"
        ) from error
    return target


_ADVICE = "download it by other means and name it with --weights"


def _fetch(url: str, part: IO[bytes], on_progress: OnProgress | None) -> str:
    """Write the answer's body to ``part`` and return its sha256."""
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"cannot download {url}: expected an http or https address")
    digest = hashlib.sha256()
    received = 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # checked
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while chunk := answer.read(_CHUNK_BYTES):
            part.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if on_progress is not None:
                on_progress(received, total)
    # http.client ends a read in pieces silently when the connection breaks.
    if total is not None and received != total:
        raise WeightsError(
            f"cannot download {url}: the connection broke after {received} of {total} bytes; "
            f"try again, or {_ADVICE}"
        )
    return digest.hexdigest()


def _require_digest(entry: ModelEntry, url: str, digest: str) -> None:
    if entry.sha256 is not None and digest != entry.sha256:
        raise WeightsError(
            f"{url} is not the official file: found sha256 {digest}, expected {entry.sha256}"
        )


def _reason(error: OSError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
