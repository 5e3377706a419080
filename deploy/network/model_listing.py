"""List the known models as ``esrdeploy models`` shows them."""

from dataclasses import dataclass
from typing import Any

from calib.tile import USUAL_PX
from deploy.network.architecture import Architecture
from deploy.network.known_models import MODELS
from deploy.network.macs import Complexity, architecture_complexity
from deploy.network.weights.checkpoint import weights_at_hand


@dataclass(frozen=True)
class CatalogueRow:
    """One model of the table.

    Attributes:
        name: as ``--model`` takes it.
        architecture: its network.
        cost: parameters and operations at 1x3x128x128.
        weights: where its weights would come from, or that there are none.
    """

    name: str
    architecture: Architecture
    cost: Complexity
    weights: str | None

    def record(self) -> dict[str, Any]:
        """Return the row as a JSON-able mapping."""
        return {
            "model": self.name,
            "architecture": str(self.architecture),
            "scale": self.architecture.scale,
            "parameters": self.cost.parameters,
            "macs": self.cost.macs,
            "vastai_gflops": self.cost.vendor_gflops,
            "weights": self.weights,
        }


def catalogue() -> list[CatalogueRow]:
    """Return a row for every model that is known by name."""
    return [
        CatalogueRow(
            entry.name,
            entry.architecture,
            architecture_complexity(entry.architecture, USUAL_PX, USUAL_PX),
            weights_at_hand(entry),
        )
        for entry in MODELS
    ]
