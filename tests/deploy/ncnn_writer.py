"""Write ncnn pairs as ncnn's converters do, for tests that read such pairs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deploy.network.architecture import LEAKY_SLOPE, SRVGG, SRVGG_LEAKY_SLOPE, RRDBNet

Array = NDArray[np.float32]

FLOAT16_FLAG = (0x01306B47).to_bytes(4, "little")
FLOAT32_FLAG = bytes(4)


@dataclass
class NcnnWriter:
    """Writes what ncnn's converters write: ``plain`` before, else after ncnnoptimize.

    With ``clip`` the picture is clipped to [0, 1] at the end, as many converted networks do it.
    """

    tensors: Mapping[str, Array]
    half: bool
    plain: bool
    clip: bool
    layers: list[tuple[str, list[str], str, str]] = field(
        default_factory=lambda: [("Input", [], "data", "")]
    )
    content: bytearray = field(default_factory=bytearray)

    def text(self) -> str:
        """Return the .param; a blob that several layers read goes through a Split."""
        readers = Counter(blob for _, inputs, _, _ in self.layers for blob in inputs)
        copies = {blob: iter(range(count)) for blob, count in readers.items() if count > 1}
        lines, blobs = [], 0
        for index, (kind, inputs, output, options) in enumerate(self.layers):
            reads = [f"{b}_{next(copies[b])}" if b in copies else b for b in inputs]
            words = [kind, f"{kind}_{index}", str(len(reads)), "1", *reads, output, options]
            lines.append(" ".join(words).rstrip())
            blobs += 1
            if output in copies:
                parts = [f"{output}_{copy}" for copy in range(readers[output])]
                lines.append(f"Split split_{index} 1 {len(parts)} {output} {' '.join(parts)}")
                blobs += len(parts)
        return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n"

    def layer(self, kind: str, inputs: list[str], options: str = "") -> str:
        output = f"b{len(self.layers)}"
        self.layers.append((kind, [*inputs], output, options))
        return output

    def conv(self, blob: str, name: str, *, slope: float | None = None, clip: bool = False) -> str:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        options = f"0={len(bias)} 1=3 4=1 5=1 6={weight.size}"
        if slope is not None and not self.plain:
            options += f" 9=2 -23310=1,{slope:e}" if slope else " 9=1"
        if clip and not self.plain:
            options += " 9=3 -23310=2,0.000000e+00,1.000000e+00"
        if self.half:
            stored = weight.astype("<f2").tobytes()
            self.content += FLOAT16_FLAG + stored + bytes(-len(stored) % 4)
        else:
            self.content += FLOAT32_FLAG + weight.astype("<f4").tobytes()
        self.content += bias.astype("<f4").tobytes()
        made = self.layer("Convolution", [blob], options)
        if slope is not None and self.plain:
            made = self.layer("ReLU", [made], f"0={slope:e}")
        return self.clipped(made) if clip and self.plain else made

    def clipped(self, blob: str) -> str:
        return self.layer("Clip", [blob], "0=0.000000e+00 1=1.000000e+00")

    def residual(self, branch: str, skip: str) -> str:
        if not self.plain:
            coefficients = "0=1 -23301=2,2.000000e-01,1.000000e+00"
            return self.layer("Eltwise", [branch, skip], coefficients)
        scaled = self.layer("BinaryOp", [branch], "0=2 1=1 2=2.000000e-01")
        return self.layer("BinaryOp", [scaled, skip], "0=0")

    def dense_block(self, x: str, name: str) -> str:
        seen = [x]
        for index in range(1, 5):
            joined = self.layer("Concat", seen, "0=0") if len(seen) > 1 else x
            seen.append(self.conv(joined, f"{name}.conv{index}", slope=LEAKY_SLOPE))
        joined = self.layer("Concat", seen, "0=0")
        return self.residual(self.conv(joined, f"{name}.conv5"), x)

    def rrdbnet(self, sizes: RRDBNet) -> None:
        picture = "data"
        if sizes.unshuffle > 1:
            picture = self.layer("Reorg", [picture], f"0={sizes.unshuffle}")
        features = trunk = self.conv(picture, "conv_first")
        for block in range(sizes.blocks):
            inner = trunk
            for index in range(1, 4):
                inner = self.dense_block(inner, f"body.{block}.rdb{index}")
            trunk = self.residual(inner, trunk)
        x = self.layer("BinaryOp", [features, self.conv(trunk, "conv_body")], "0=0")
        for index in range(1, sizes.upsamplings + 1):
            x = self.layer("Interp", [x], "0=1 1=2.000000e+00 2=2.000000e+00")
            x = self.conv(x, f"conv_up{index}", slope=LEAKY_SLOPE)
        self.conv(self.conv(x, "conv_hr", slope=LEAKY_SLOPE), "conv_last", clip=self.clip)

    def srvgg(self, sizes: SRVGG) -> None:
        x = "data"
        for index in range(sizes.convs + 1):
            slope = {"relu": 0.0, "leaky_relu": SRVGG_LEAKY_SLOPE}.get(sizes.activation)
            x = self.conv(x, f"body.{2 * index}", slope=slope)
            if sizes.activation == "prelu":
                slopes = self.tensors[f"body.{2 * index + 1}.weight"]
                self.content += slopes.astype("<f4").tobytes()
                x = self.layer("PReLU", [x], f"0={slopes.size}")
        x = self.conv(x, f"body.{2 * sizes.convs + 2}")
        details = self.layer("PixelShuffle", [x], f"0={sizes.scale}")
        base = self.layer("Interp", ["data"], f"0=1 1={sizes.scale}.0 2={sizes.scale}.0")
        made = self.layer("BinaryOp", [details, base], "0=0")
        if self.clip:
            self.clipped(made)
