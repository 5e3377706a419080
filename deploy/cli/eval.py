"""Run ``esrdeploy eval``: score built models on a DIV2K folder, in the vendor's table."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.cli.console import make_progress, print_json, print_table, say
from deploy.cli.options import AsJson, Builds, BuiltModels, BuiltTargets, PrecisionChoice
from deploy.cli.target_words import find_target


def evaluate(
    data: Annotated[
        Path,
        typer.Option(help="Folder in DIV2K's layout: DIV2K_valid_LR_bicubic/X4, DIV2K_valid_HR."),
    ],
    model: BuiltModels = None,
    precision: Annotated[
        list[PrecisionChoice] | None,
        typer.Option("--precision", "-p", help="Files to score; repeatable. Default: all."),
    ] = None,
    target: BuiltTargets = None,
    shape: Annotated[
        Literal["fixed", "source"],
        typer.Option(
            help="fixed: everything at the size built for (128x128: VastAI's protocol); source: "
            "the LR picture's own size in tiles, against the full HR picture."
        ),
    ] = "fixed",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="With source: the network at the picture's size instead of tiles."
        ),
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many pairs, the first by name. Default: all.")
    ] = None,
    fid: Annotated[
        str | None,
        typer.Option(
            help="Also FID, over the features of this Inception network: an .onnx or TorchScript "
            "file, or 'torch-fidelity' (extra 'fid', which downloads 91 MB of weights)."
        ),
    ] = None,
    critic: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also what the U-Net discriminator of a training (net_d_*.pth) says of the "
            "pictures: its mean logit.",
        ),
    ] = None,
    builds: Builds = Path("dist"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for eval-SHAPE.md, .json and .csv. Default: --builds."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score built models against photographs, in the table of VastAI's model zoo."""
    from calib.digest import canonical_json
    from calib.errors import UsageError
    from calib.files import write_atomically
    from deploy.artifacts.claim import claimed
    from deploy.artifacts.precision import PRECISIONS
    from deploy.evaluate.critic import Critic
    from deploy.evaluate.fid.inception import feature_network
    from deploy.evaluate.request import ScoringRequest
    from deploy.evaluate.score_builds import score
    from deploy.evaluate.vendor_table import SCHEMA
    from deploy.network.known_models import model_name

    if whole and shape == "fixed":
        raise UsageError("found --whole without --shape source; at a fixed shape nothing is tiled")
    wanted = {choice.value for choice in precision or ()}
    request = ScoringRequest(
        data,
        builds=builds,
        models=tuple(map(model_name, model or ())),
        precisions=tuple(name for name in PRECISIONS if name in wanted),
        targets=tuple(find_target(name).name for name in target or ()),
        shape=shape,
        whole=whole,
        count=count,
    )
    network = None if fid is None else feature_network(fid)
    judge = None if critic is None else Critic.load(critic)
    table = score(request, make_progress(), network, judge)
    contents = {
        "md": table.markdown().encode(),
        "json": canonical_json(table.record()),
        "csv": table.csv().encode(),
    }
    with claimed(out or builds) as folder:
        for suffix, content in contents.items():
            write_atomically(folder / f"eval-{shape}.{suffix}", content)
    if as_json:
        print_json(SCHEMA, table.record())
        return
    print_table(f"scores, shape {shape}", table.columns, list(table.lines()))
    for note in table.notes:
        say(f"  {note}")
    say(f"saved {folder / f'eval-{shape}'}.md, .json, .csv")
