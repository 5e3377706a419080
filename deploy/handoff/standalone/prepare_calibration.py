"""Make the calibration pictures from a folder of photographs, or give them another form.

    python prepare_calibration.py --photos FOLDER            makes images/*.png, each proven
    python prepare_calibration.py --form raw --out raw       what the network takes, of each:
                                                             float32 NCHW in [0, 1], or as
                                                             ../manifest.json states
    python prepare_calibration.py --form npy --out npy       the same as .npy
    python prepare_calibration.py --form npz --out npz       input_0: uint8 CHW

It needs numpy, cv2 and ../processing.py. patches.json beside it lists the pictures: the name of
the photograph below the folder, for a crop ``@ROW,COLUMN`` and, where the photograph was reduced
first, ``/REDUCTION``; and the sha256 that the picture's uint8 RGB bytes must have. Where it names
a degradation, the pictures are degraded photographs, which esrdeploy makes: install the wheel that
lies in the bundle. What was given and cannot be used is one line on stderr, and exit status 2.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.dont_write_bytecode = True  # a bundle stays as it was handed over
import processing  # type: ignore[import-not-found]  # noqa: E402  # lies above it in the bundle

_CROP = re.compile(r"(?P<photo>.*)@(?P<top>\d+),(?P<left>\d+)(?:/(?P<reduction>\d+))?")


def make_picture(photos: Path, name: str, mode: str, size: tuple[int, int]) -> processing.Picture:
    """Return the calibration picture of that name, uint8 [H, W, 3] RGB of that size."""
    crop = _CROP.fullmatch(name) if mode != "whole" else None
    if crop is None:
        return processing.resize_area(processing.read_picture(photos / name), *size)
    picture = processing.read_picture(photos / crop["photo"])
    reduction = int(crop["reduction"] or 1)
    if reduction > 1:
        height, width = (length // reduction for length in picture.shape[:2])
        picture = processing.resize_area(picture, height, width)
    top, left = int(crop["top"]), int(crop["left"])
    bottom, right = top + size[0], left + size[1]
    missing = [
        max(0, end - length) for end, length in zip((bottom, right), picture.shape[:2], strict=True)
    ]
    picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
    return np.ascontiguousarray(picture[top:bottom, left:right])


def degrader(listed: dict[str, Any]) -> Callable[[processing.Picture], processing.Picture]:
    """Return what makes the calibration picture of a part of a photograph."""
    if listed["degradation"] is None:
        return lambda picture: picture
    try:
        from calib.degradation.degrade import degrade  # noqa: PLC0415  # needed here alone
        from calib.degradation.parameters import Degradation  # noqa: PLC0415
        from calib.errors import UsageError  # noqa: PLC0415
        from calib.records import decode  # noqa: PLC0415
    except ImportError:
        processing.refuse(
            "these pictures are degraded photographs, which esrdeploy makes: install it first, "
            f"{sys.executable} -m pip install ../esrdeploy-*.whl"
        )
    content = json.dumps(listed["degradation"]).encode()
    how = decode(content, Degradation, "patches.json", UsageError, "unpack the bundle again")
    return lambda picture: degrade(picture, how, listed["seed"])


def make_all(photos: Path) -> None:
    """Make every picture of patches.json and prove that it is the one calibrated on."""
    if not photos.is_dir():
        processing.refuse(f"found no folder {photos}; name the one that was calibrated on")
    listed = json.loads((HERE / "patches.json").read_text())
    scale = 1 if listed["degradation"] is None else listed["degradation"]["scale"]
    height, width = (side * scale for side in listed["size"])
    degraded = degrader(listed)
    with processing.writing(HERE / "images"):
        (HERE / "images").mkdir(exist_ok=True)
    for entry in listed["patches"]:
        cut = make_picture(photos, entry["name"], listed["mode"], (height, width))
        picture = degraded(cut)
        found = hashlib.sha256(picture.tobytes()).hexdigest()
        if found != entry["sha256"]:
            processing.refuse(
                f"{entry['name']}: sha256 {found}, expected {entry['sha256']}: another photograph, "
                "or another version of OpenCV's decoder"
            )
        processing.write_picture(HERE / entry["file"], picture)
    print(f"{len(listed['patches'])} pictures made and proven in {HERE / 'images'}")


def convert(form: str, out: Path) -> None:
    """Write every picture in another form to ``out``."""
    pictures = sorted((HERE / "images").glob("*.png"))
    if not pictures:
        processing.refuse("images/ holds no picture: make them first, with --photos FOLDER")
    with processing.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    batch, channels = processing.input_shape()[:2]
    groups = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    for group in groups:
        path = group[0]
        read = [processing.in_channels(processing.read_picture(one), channels) for one in group]
        (network_input,) = processing.batches(read, batch)
        with processing.writing(out):
            if form == "raw":
                network_input.tofile(out / f"{path.stem}.raw")
            elif form == "npy":
                np.save(out / f"{path.stem}.npy", network_input)
            else:
                np.savez(out / f"{path.stem}.npz", input_0=read[0].transpose(2, 0, 1))
    print(f"{len(groups)} files written to {out}")


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="the folder that was calibrated on")
    parser.add_argument("--form", choices=("raw", "npy", "npz"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.photos is None and arguments.form is None:
        parser.error("give --photos FOLDER, or --form with --out")
    if (arguments.form is None) != (arguments.out is None):
        parser.error("--form and --out go together")
    if arguments.photos is not None:
        make_all(arguments.photos)
    if arguments.form is not None:
        convert(arguments.form, arguments.out)


if __name__ == "__main__":
    main()
