"""Judge a vendor's outputs against the bundle they were made from, with reasons.

Each returned output is held against what the float network gives (the verdict) and against our
own int8 of the same input (whose work is nearer). One that is far off is looked at for the usual
slips between two machines, and named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import channels_of
from calib.errors import UsageError, VerificationError
from calib.images import Picture, in_channels, read_image, resize_area, to_picture
from deploy.artifacts.precision import ModelPrecision
from deploy.handoff.acceptance import SAME_PICTURE_DB, most_db, required_db
from deploy.handoff.bundle_manifest import (
    FLOAT_KIND,
    BundleManifest,
    GoldenVector,
    VendorRecord,
    golden_path,
    int8_kind,
    read_contents,
)
from deploy.handoff.bundle_zip import opened
from deploy.handoff.golden_set import GoldenSet
from deploy.handoff.returned.files import (
    FORMS,
    Output,
    OutputFormat,
    match_files,
    read_output,
)
from deploy.handoff.returned.image_verdict import PhotoScore, ReturnedImage
from deploy.handoff.returned.made_as import MadeAs, made_as
from deploy.handoff.returned.photographs import photo_name, photographs
from deploy.handoff.returned.quantization import folder_quantization
from deploy.handoff.returned.recognise import diagnosed, shown_picture, thumb
from deploy.handoff.returned.saturated import Worst, find_saturation
from deploy.handoff.returned.verdict import Returned
from deploy.metrics.parity import compare
from deploy.metrics.psnr_ssim import parity_db, psnr_db, ssim
from deploy.progress import Progress


@dataclass(frozen=True)
class ReturnedRequest:
    """What to judge.

    Attributes:
        folder: with the vendor's output files.
        bundle: that they were made from, zip or folder.
        vendor: whose they are; ``None`` where the bundle is for one vendor.
        precision: that the vendor's model was built in.
        profile: of our int8 to compare with; ``None`` takes the vendor's first.
        hr: folder of HR photographs of the golden inputs, if there is one.
        reading: what the files do not say themselves.
    """

    folder: Path
    bundle: Path
    vendor: str | None = None
    precision: ModelPrecision = "int8"
    profile: str | None = None
    hr: Path | None = None
    reading: OutputFormat = field(default_factory=OutputFormat)


def judge_returned(request: ReturnedRequest, progress: Progress) -> Returned:
    """Judge what a vendor returned.

    Raises:
        UsageError: a folder or the bundle is not there.
        VerificationError: the bundle is damaged, or not for this vendor.
    """
    with opened(request.bundle) as root:
        manifest = read_contents(root)
        manifest.network.require_picture("'verify --returned'")
        vendor = manifest.vendor(request.vendor)
        profile = _profile(request, manifest, vendor)
        names = [vector.name for vector in manifest.golden]
        matches = match_files(request.folder, names, {item.sha256 for item in manifest.files})
        reading = request.reading
        if manifest.network.form.layout == "nhwc":
            reading = replace(reading, layout="nhwc")
        if reading.quantization is None:
            reading = replace(reading, quantization=folder_quantization(request.folder))
        judge = _Judge(root, manifest, vendor, profile, request, reading)
        problems = [_missing(name, matches.called) for name in matches.missing]
        for name, paths in matches.twice.items():
            listed = ", ".join(path.relative_to(request.folder).as_posix() for path in paths)
            problems.append(f"twice: {listed} all belong to the golden input {name}")
        strays = {path: judge.stray(path) for path in matches.extra}
        problems += filter(None, strays.values())
        beside = sorted([*matches.beside, *(path for path, line in strays.items() if not line)])
        with progress.stage("comparing returned outputs", len(matches.files)) as advance:
            for name, path in matches.files.items():
                problems += judge.look_at(name, path)
                advance()
        saturated = None
        if request.precision == "int8" and manifest.saturable[profile]:
            saturated = find_saturation(root, manifest, profile, judge.worst, progress)
        return Returned(
            manifest.model,
            vendor.name,
            request.precision,
            profile,
            tuple(judge.images),
            tuple(problems),
            judge.pictures,
            saturated,
            tuple(path.as_posix() for path in matches.own),
            tuple(path.as_posix() for path in beside),
        )


def _missing(name: str, called: Mapping[str, Path]) -> str:
    """Say that a golden input has no output, and which file of another form has its name."""
    line = f"missing: no file for the golden input {name}"
    if name not in called:
        return line
    return f"{line}; {called[name].as_posix()} is in no form that is read: send {FORMS}"


def _profile(request: ReturnedRequest, manifest: BundleManifest, vendor: VendorRecord) -> str:
    profile = request.profile or vendor.profile
    if profile not in manifest.int8_models:
        raise UsageError(
            f"the bundle has no int8 model {profile!r}; choose one of "
            f"{', '.join(manifest.int8_models)}"
        )
    return profile


class _Judge:
    """Compares outputs with golden arrays, and collects what it finds."""

    def __init__(  # noqa: PLR0913, PLR0917  # what one comparison needs
        self,
        root: Path,
        manifest: BundleManifest,
        vendor: VendorRecord,
        profile: str,
        request: ReturnedRequest,
        reading: OutputFormat,
    ) -> None:
        self._golden_set = GoldenSet.of(root, manifest)
        self._vectors = {vector.name: vector for vector in manifest.golden}
        self._int8_models = manifest.int8_models
        self._vendor = vendor
        self._profile = profile
        self._request = request
        self._reading = reading
        self._shape = manifest.network.output_shape
        self._photos = photographs(request.hr)
        self._thumbs = {name: thumb(self._golden("float", name)) for name in self._vectors}
        self.images: list[ReturnedImage] = []
        self.worst: Worst | None = None
        self.pictures: dict[str, tuple[Picture, Picture]] = {}

    def stray(self, path: Path) -> str:
        """Say what an output is that belongs to no golden input by its name.

        Returns:
            One line; empty where the file is no output of this network.
        """
        line = f"extra: {path.as_posix()} belongs to no golden input by its name"
        try:
            output = self._read(self._request.folder / path)
        except VerificationError:
            return ""
        shown = self._shows(output.array)
        return line if shown is None else f"{line}; it shows {shown}: rename it"

    def look_at(self, name: str, path: Path) -> Iterator[str]:
        """Judge one file; yield what is wrong with it other than its values."""
        file = path.relative_to(self._request.folder).as_posix()
        try:
            output = self._read(path)
        except VerificationError as error:
            yield f"unusable: {file} {error}"
            return
        image = self._judged(self._vectors[name], file, output)
        if image.far_off:
            shown = self._shows(output.array)
            if shown not in {None, name}:
                image = replace(image, shows=shown, finding=None)
                yield f"misnamed: {file} belongs to {name} by its name, but shows {shown}"
        self.images.append(image)
        if self._may_have_saturated(image) and (
            self.worst is None or image.psnr_db < self.worst.psnr_db
        ):
            self.worst = Worst(name, image.psnr_db, output.array)

    @staticmethod
    def _may_have_saturated(image: ReturnedImage) -> bool:
        """Whether running the int8 model once more may explain the output.

        What saturates still is the same picture, and nothing that can be undone.
        """
        undone = image.finding is not None and image.finding.psnr_db_after >= image.required_db
        return image.far_off and not undone and image.psnr_db >= SAME_PICTURE_DB

    def _read(self, path: Path) -> Output:
        """Read a returned file as [N, 3, H, W] RGB, whatever the order of the bundle's channels.

        Raises:
            VerificationError: it holds no output.
        """
        output = read_output(path, self._shape, self._reading)
        if self._golden_set.form.channel_order == "bgr":
            return replace(output, array=np.ascontiguousarray(output.array[:, ::-1]))
        return output

    def _judged(self, vector: GoldenVector, file: str, output: Output) -> ReturnedImage:
        expected = self._golden("float", vector.name)
        ours = self._golden(int8_kind(self._profile), vector.name)
        needed_db = required_db(self._request.precision, vector, self._vendor, self._profile)
        ours_db = vector.psnr_db[self._profile]
        finite = np.nan_to_num(output.array, nan=0.0, posinf=0.0, neginf=0.0)
        parity = compare(vector.name, expected, finite, "picture")
        assert parity.ssim is not None  # the network gives out pictures: others are refused
        broken = not np.isfinite(output.array).all()
        found_db = 0.0 if broken else parity.psnr_db
        finding = None
        if not found_db >= needed_db:
            finding = diagnosed(expected, output.array)
        pictures = (to_picture(expected[:1]), to_picture(finite[:1]))
        self.pictures[vector.name] = pictures
        image = ReturnedImage(
            name=vector.name,
            file=file,
            form=output.form,
            psnr_db=round(found_db, 4),
            required_db=round(needed_db, 4),
            ours_db=ours_db,
            between_db=round(parity_db(np.clip(ours, 0, 1), np.clip(finite, 0, 1)), 4),
            ssim=round(parity.ssim, 6),
            max_abs_error=round(parity.max_abs_error, 6),
            finding=finding,
            photo=self._photo_score(vector, (pictures[1], pictures[0], to_picture(ours[:1]))),
            most_db=most_db(self._request.precision, vector, self._vendor, self._profile),
            copied=self._copied(vector.name, output.array),
        )
        if image.passed or image.copied:
            return image
        return replace(image, made_as=self._made_as(image, finite))

    def _made_as(self, image: ReturnedImage, output: Float32) -> MadeAs | None:
        """Return what an output that does not pass would pass as."""
        seen = np.clip(output, 0, 1)
        between_db = {
            profile: parity_db(np.clip(self._golden(int8_kind(profile), image.name), 0, 1), seen)
            for profile in self._int8_models
        }
        vector, judged = self._vectors[image.name], (self._request.precision, self._profile)
        return made_as(image.psnr_db, between_db, vector, self._vendor, judged)

    def _copied(self, name: str, array: Float32) -> str | None:
        """Return the kind of golden file that an output is to the last bit, if it is one."""
        for kind in (FLOAT_KIND, *map(int8_kind, self._int8_models)):
            golden = self._golden(kind, name)
            # Their rounding marks golden files, but not a picture of nothing but black and white.
            marked = bool(((golden != 0.0) & (golden != 1.0)).any())
            if marked and np.array_equal(golden, array):
                return kind
        return None

    def _photo_score(
        self, vector: GoldenVector, pictures: tuple[Picture, Picture, Picture]
    ) -> PhotoScore | None:
        path = self._photos.get(photo_name(vector.source))
        if path is None:
            return None
        photo = resize_area(read_image(path), *self._shape[2:])
        photo = in_channels(photo, channels_of(self._shape[1]))
        scores = [
            (round(psnr_db(photo, picture), 4), round(ssim(photo, picture), 6))
            for picture in pictures
        ]
        return PhotoScore(*scores)

    def _shows(self, array: Float32) -> str | None:
        """Return the golden input whose picture this is, if it clearly is one's."""
        return shown_picture(array, self._thumbs)

    def _golden(self, kind: str, name: str) -> Float32:
        try:
            return self._golden_set.output(kind, name)
        except VerificationError as error:
            raise VerificationError(
                f"the bundle's {golden_path(kind, name)}: {error}; check the bundle with "
                "'esrdeploy handoff --check'"
            ) from error
