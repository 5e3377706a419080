"""Hold one returned output after the other against the golden arrays of its input."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from calib.arrays import Float32
from calib.colours import channels_of
from calib.errors import VerificationError
from calib.images import Picture, in_channels, read_image, resize_area, to_picture
from deploy.diagnosis.pictures import Finding
from deploy.handoff.acceptance import SAME_PICTURE_DB, most_db, required_db
from deploy.handoff.bundle_manifest import (
    FLOAT_KIND,
    BundleManifest,
    GoldenVector,
    golden_path,
    int8_kind,
)
from deploy.handoff.golden_set import GoldenSet
from deploy.handoff.returned.files import Output, OutputFormat, read_output
from deploy.handoff.returned.image_verdict import PhotoScore, ReturnedImage
from deploy.handoff.returned.limit import Limit
from deploy.handoff.returned.made_as import made_as
from deploy.handoff.returned.photographs import photo_name, photographs
from deploy.handoff.returned.recognise import (
    diagnosed,
    foreign,
    nearest_picture,
    noisy,
    ours_itself,
    shown_picture,
    thumb,
)
from deploy.handoff.returned.request import ReturnedRequest
from deploy.handoff.returned.saturated import Worst
from deploy.handoff.returned.shared_error import MOST_OWN_DB, shared_error
from deploy.metrics.parity import compare
from deploy.metrics.psnr_ssim import parity_db, psnr_db, ssim


class OutputJudge:
    """Compares outputs with golden arrays, and collects what it finds.

    Attributes:
        images: the verdicts so far.
        pictures: of each, what float draws and what was returned.
        worst: the output furthest off that may have saturated.
        refused: the first output that does not pass.
    """

    def __init__(
        self,
        root: Path,
        manifest: BundleManifest,
        limit: Limit,
        request: ReturnedRequest,
        reading: OutputFormat,
    ) -> None:
        self._golden_set = GoldenSet.of(root, manifest)
        self._vectors = {vector.name: vector for vector in manifest.golden}
        self._int8_models = manifest.int8_models
        self._limit = limit
        self._profile = limit.profile
        self._request = request
        self._reading = reading
        self._shape = manifest.network.output_shape
        self._photos = photographs(request.hr)
        self._thumbs = {name: thumb(self._golden("float", name)) for name in self._vectors}
        self._unrelated: list[str] = []
        self._strays = 0
        self.images: list[ReturnedImage] = []
        self.worst: Worst | None = None
        self.refused: Worst | None = None
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
        self._strays += 1
        shown = shown_picture(output.array, self._thumbs)
        if shown is not None:
            return f"{line}; it shows {shown}: rename it"
        nearest, alike = nearest_picture(output.array, self._thumbs)
        self._unrelated.append(f"{path.as_posix()} correlates r = {alike:.2f} with {nearest}")
        return f"{line}, and shows no golden picture (r = {alike:.2f} with {nearest}, the nearest)"

    def unrelated(self) -> Finding | None:
        """Return what explains a return of which nothing belongs to this bundle, if so."""
        count = len(self._unrelated)
        if self.images or 2 * count <= self._strays:
            return None
        text = (
            f"{count} of {self._strays} outputs show no golden picture: {self._unrelated[0]}, the "
            "nearest; send what the models make of this bundle's golden/input"
        )
        return Finding("outputs for the inputs of another bundle", text, 0.0, 0.0)

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
            shown = shown_picture(output.array, self._thumbs)
            if shown not in {None, name}:
                image = replace(image, shows=shown, finding=None)
                yield f"misnamed: {file} belongs to {name} by its name, but shows {shown}"
        self.images.append(image)
        if self.refused is None and not (image.passed or image.copied or image.broken):
            self.refused = Worst(name, image.psnr_db, output.array)
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
        limit = (self._limit.precision, vector, self._limit.scales, self._profile)
        needed_db = required_db(*limit)
        ours_db = vector.psnr_db[self._profile]
        finite = np.nan_to_num(output.array, nan=0.0, posinf=0.0, neginf=0.0)
        between_db = self._between_db(vector.name, finite)
        nearest = max(between_db, key=lambda profile: between_db[profile])
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
            between_db=0.0 if broken else round(between_db[self._profile], 4),
            ssim=0.0 if broken else round(parity.ssim, 6),
            max_abs_error=round(parity.max_abs_error, 6),
            finding=finding,
            photo=self._photo_score(vector, (pictures[1], pictures[0], to_picture(ours[:1]))),
            most_db=most_db(*limit),
            copied=self._copied(vector.name, output.array),
            assumed=output.assumed,
            shared_error=self._shared_error(vector, expected, ours, finite),
            nearest=nearest,
            nearest_db=round(between_db[nearest], 4),
            broken=broken,
        )
        if image.passed or image.copied:
            return image
        if image.far_off and image.finding is None and self._limit.precision == "int8":
            image = replace(image, finding=ours_itself(image, self._profile))
        recognised = made_as(image.psnr_db, between_db, vector, self._limit)
        image = replace(image, made_as=recognised)
        if image.far_off and image.cause is None:
            drawn = {"float": expected, f"our int8 {self._profile}": ours}
            return replace(
                image,
                finding=noisy(vector.name, output.array, drawn)
                or foreign(vector.name, output.array, self._thumbs, found_db),
            )
        return image

    def _shared_error(
        self, vector: GoldenVector, expected: Float32, ours: Float32, output: Float32
    ) -> float | None:
        """Return how much of its error an output shares with our int8; ``None``: not to be asked.

        A tool that chooses its own scales shares none of it.
        """
        if (self._limit.precision, self._limit.scales) != ("int8", "ours"):
            return None
        if vector.psnr_db[self._profile] > MOST_OWN_DB:
            return None
        return round(shared_error(expected, ours, output), 4)

    def _between_db(self, name: str, output: Float32) -> dict[str, float]:
        """Return the parity of an output with what each of our int8 models makes of its input."""
        seen = np.clip(output, 0, 1)
        return {
            profile: parity_db(np.clip(self._golden(int8_kind(profile), name), 0, 1), seen)
            for profile in self._int8_models
        }

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

    def _golden(self, kind: str, name: str) -> Float32:
        try:
            return self._golden_set.output(kind, name)
        except VerificationError as error:
            raise VerificationError(
                f"the bundle's {golden_path(kind, name)}: {error}; check the bundle with "
                "'esrdeploy handoff --check'"
            ) from error
