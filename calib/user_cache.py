"""Say where this user's cache is: what can be made or fetched again, and need not be."""

from pathlib import Path

import platformdirs


def user_cache(kind: str) -> Path:
    """Return the folder of one kind of things in this user's cache; it need not be there."""
    return platformdirs.user_cache_path("esrdeploy", appauthor=False) / kind
