"""Write the JSON Schema of every JSON file that the tool writes for others, or takes from them.

    python tools/write_schemas.py

They go to ``docs/schemas/``, one for each record; the tests hold them against the records.
"""

import json
from pathlib import Path

from calib.degradation.pairs import PairsRecord
from calib.degradation.parameters import DegradationParameters
from calib.json_schemas import json_schema
from calib.table import TableDocument
from deploy.artifacts.manifest import Manifest
from deploy.artifacts.parity_record import ParityFile
from deploy.handoff.bundle_manifest import BundleManifest
from deploy.simulate.record import SimulationRecord
from deploy.simulate.usage import UsageRecord
from quant.plan import QuantPlan
from quant.sensitivity import SensitivityFile

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
RECORDS = {
    "bundle": BundleManifest,
    "calibration": TableDocument,
    "degradation-parameters": DegradationParameters,
    "degraded-pairs": PairsRecord,
    "manifest": Manifest,
    "parity": ParityFile,
    "plan": QuantPlan,
    "sensitivity": SensitivityFile,
    "simulation": SimulationRecord,
    "simulation-usage": UsageRecord,
}
"""What each file is called, and the record that it holds."""


def schema_text(name: str) -> str:
    """Return the content of the schema of that name."""
    return json.dumps(json_schema(RECORDS[name]), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in RECORDS:
        (FOLDER / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
