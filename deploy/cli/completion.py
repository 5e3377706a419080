"""Complete the names that options take, for the shell (``esrdeploy --install-completion``)."""

from collections.abc import Iterable


def targets(incomplete: str) -> list[str]:
    """Return the targets that begin so, by any of their names."""
    from quant.targets import ALIASES, PROFILES

    return _beginning(incomplete, (*PROFILES, *ALIASES))


def vendors(incomplete: str) -> list[str]:
    """Return the vendors that begin so, by any of their names."""
    from deploy.handoff.vendors import vendors as known

    return _beginning(
        incomplete, [name for vendor in known().values() for name in (vendor.name, *vendor.aliases)]
    )


def toolchains(incomplete: str) -> list[str]:
    """Return the toolchains that begin so, by any of their names."""
    from deploy.simulate.toolchains import toolchains as known

    return _beginning(
        incomplete, [name for one in known().values() for name in (one.name, *one.aliases)]
    )


def models(incomplete: str) -> list[str]:
    """Return the known networks that begin so."""
    from deploy.network.known_models import MODELS

    return _beginning(incomplete, [entry.name for entry in MODELS])


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
