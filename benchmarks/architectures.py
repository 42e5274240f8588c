"""Which architectures of timm and torchvision a gallery can be made with: exported, and equal to torch.

    python benchmarks/architectures.py [NAME …] [--out table.md]

For each name (one small model of every family where none is given): build it with random weights, save it as
'hifa index --backbone NAME' does, write its graph, and encode pictures with the graph, as a query does, and with
torch. Prints pixels a side, numbers of a vector, pooling, the largest 1 − cosine and the largest difference of a
number relative to the vector's largest, or why the backbone is refused.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hifa_cli.data.transforms import Pixels, to_pixels
from hifa_cli.embeddings.encoder import graph_encoder
from hifa_cli.embeddings.extract import load_encoder, save_backbone
from hifa_cli.embeddings.onnx_export import export_onnx
from hifa_cli.errors import HifaError
from hifa_cli.models.backbones import backbone_of
from hifa_cli.models.network import Network, TimmTrunk, Trunk
from hifa_cli.runtime.progress import Reporter, reporting

Vectors = NDArray[np.float32]

TOLERANCE = 1e-4  # of the cosine
PICTURES = 4
TIMM = (
    "beit_base_patch16_224", "botnet26t_256", "mobileone_s0", "cait_xxs24_224", "coat_lite_tiny", "convit_tiny",
    "convmixer_768_32", "convnext_atto", "cpubone_nano", "crossvit_9_240", "csatv2", "cs3darknet_focus_m",
    "cspnext_tiny", "davit_tiny", "deit3_small_patch16_224", "densenet121", "dla46_c", "dpn48b", "edgenext_x_small",
    "efficientformer_l1", "efficientformerv2_s0", "efficientnet_b0", "tf_efficientnetv2_b0", "mnasnet_small",
    "tinynet_a", "efficientvim_m1", "efficientvit_b0", "efficientvit_m0", "eva02_tiny_patch14_224", "fasternet_t0",
    "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_050", "hardcorenas_a", "hgnet_tiny",
    "hiera_tiny_224", "hieradet_small", "hrnet_w18_small", "iformer_t", "inception_next_atto", "inception_v3",
    "inception_v4", "inception_resnet_v2", "lcnetv2_small", "levit_128s", "lowformer_b0", "mambaout_femto",
    "coatnet_pico_rw_224", "maxvit_pico_rw_256", "caformer_s18", "mixer_s32_224", "resmlp_12_224",
    "mobilenetv3_small_050", "mobilenetv4_conv_small", "mobilevit_xxs", "mobilevitv2_050", "mvitv2_tiny",
    "naflexvit_base_patch16_gap", "nest_tiny", "nextvit_small", "nf_regnet_b0", "pit_xs_224", "pvt_v2_b0",
    "rdnet_tiny", "regnetx_002", "repghostnet_050", "repvit_m0_9", "res2net50_14w_8s", "resnest14d", "resnet18",
    "resnetv2_18", "rexnet_100", "selecsls42", "legacy_seresnet18", "sequencer2d_s", "shvit_s1", "skresnet18",
    "starnet_s050", "swiftformer_xs", "swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224",
    "swinv2_tiny_window8_256", "tiny_vit_5m_224", "tnt_s_patch16_224", "tresnet_m", "twins_svt_small", "vgg11",
    "visformer_tiny", "vit_tiny_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3",
    "vit_base_patch16_siglip_224", "vit_small_r26_s32_224", "vit_relpos_small_patch16_224",
    "samvit_base_patch16_224", "vitamin_small_224", "volo_d1_224", "ese_vovnet19b_dw", "xception41",
    "xcit_nano_12_p16_224",
)  # fmt: skip
TORCHVISION = (
    "alexnet", "torchvision/convnext_tiny", "torchvision/densenet121", "torchvision/efficientnet_b0",
    "torchvision/efficientnet_v2_s", "torchvision/googlenet", "torchvision/inception_v3", "torchvision/maxvit_t",
    "torchvision/mnasnet0_5", "torchvision/mobilenet_v2", "torchvision/mobilenet_v3_small",
    "torchvision/regnet_x_400mf", "torchvision/resnet18", "torchvision/resnext50_32x4d",
    "torchvision/shufflenet_v2_x0_5", "torchvision/squeezenet1_1", "torchvision/swin_t", "torchvision/swin_v2_t",
    "torchvision/vgg11_bn", "torchvision/vit_b_32", "torchvision/wide_resnet50_2",
)  # fmt: skip


class Row(NamedTuple):
    """What became of one backbone; ``reason`` is "" where queries need no torch and find the same."""

    name: str
    size: int = 0
    width: int = 0
    pooling: str = ""
    cosine: float = float("nan")
    largest: float = float("nan")
    seconds: float = 0.0
    reason: str = ""


class _Notes(Reporter):
    """Keeps the last note: why a graph could not be written."""

    def __init__(self) -> None:
        self.last = ""

    def note(self, message: str) -> None:
        """Keep ``message``."""
        self.last = message


def pictures(size: int) -> list[Image.Image]:
    """Return pictures that differ: gradients, noise, stripes and a disc."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 255, size)[None, :].repeat(size, 0)
    disc = 255.0 * (np.hypot(across - 127, across.T - 127) < 70)
    stripes = 255.0 * ((np.arange(size) // 9) % 2)[:, None].repeat(size, 1)
    noise = rng.integers(0, 256, (size, size)).astype(float)
    made = [np.stack(three, axis=2) for three in (
        (across, across.T, disc), (noise, noise.T, across), (stripes, disc, noise), (disc, stripes, stripes.T),
    )]  # fmt: skip
    return [Image.fromarray(one.astype(np.uint8)) for one in made[:PICTURES]]


def check(name: str) -> Row:
    """Build, save and export a backbone with random weights, and compare the graph with torch."""
    start, notes = time.perf_counter(), _Notes()
    try:
        row = backbone_of(name)
        with tempfile.TemporaryDirectory() as scratch, reporting(notes), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = save_backbone(Path(scratch), name, weights="none")
            if not export_onnx(folder):
                return Row(name, row.size, reason=notes.last, seconds=time.perf_counter() - start)
            light, heavy = graph_encoder(folder), load_encoder(folder, torch.device("cpu"))
            if light is None:
                return Row(name, row.size, reason="its graph cannot be opened again")
            pixels = np.stack([to_pixels(one, light.config) for one in pictures(row.size)])
            return compared(
                name, pooling_of(heavy.network.trunk), light.each_picture(pixels), heavy.each_picture(pixels),
                own_vectors(heavy.network, pixels), row.size, start,
            )  # fmt: skip
    except HifaError as error:
        return Row(name, reason=str(error), seconds=time.perf_counter() - start)


def own_vectors(network: Network, pixels: Pixels) -> Vectors | None:
    """Return what timm itself makes of (n, 3, S, S) pixels; None for another library."""
    if not isinstance(network.trunk, TimmTrunk):
        return None
    with torch.inference_mode():
        scaled = torch.from_numpy(pixels).float() / 255
        found: Vectors = network.trunk.net((scaled - network.mean) / network.std).numpy()
    return found


def pooling_of(trunk: Trunk) -> str:
    """Return how a trunk makes one vector of a map or of tokens, by its library's word."""
    if not isinstance(trunk, TimmTrunk):
        return "class token" if getattr(trunk, "tokens", False) else "avg"
    pool = getattr(trunk.net, "global_pool", "")
    pool = getattr(pool, "pool_type", pool)
    return pool if isinstance(pool, str) and pool else "its own"


def cosine_error(found: Vectors, wanted: Vectors) -> float:
    """Return the largest 1 − cosine of (n, D) vectors."""
    one, other = found.astype(np.float64), wanted.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.abs(1 - (one * other).sum(1) / np.maximum(lengths, 1e-300)).max())


def compared(
    name: str, pooling: str, found: Vectors, wanted: Vectors, own: Vectors | None, size: int, start: float
) -> Row:
    """Return how far (n, D) vectors of the graph are from torch's, and these from the library's own."""
    one, other = found.astype(np.float64), wanted.astype(np.float64)
    error = cosine_error(found, wanted)
    largest = float((np.abs(one - other).max(1) / np.abs(other).max(1)).max())
    alike = float(np.abs(other - other[:1]).max()) == 0
    reason = "" if error < TOLERANCE else f"cosines differ by {error:.1e}"
    reason = "all pictures get one vector" if alike else reason
    if own is not None and (error_of_ours := cosine_error(wanted, own)) >= TOLERANCE:
        reason = f"not what timm itself gives: cosines differ by {error_of_ours:.1e}"
    return Row(name, size, found.shape[1], pooling, error, largest, time.perf_counter() - start, reason)


def line(row: Row) -> str:
    """Return a row of the table."""
    if row.reason:
        return f"| {row.name} | {row.size or '–'} | – | – | – | – | {row.reason} |"
    return (
        f"| {row.name} | {row.size} | {row.width} | {row.pooling} | {row.cosine:.0e} | {row.largest:.0e} | |"
    )


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description="which architectures a gallery can be made with")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, help="write the table here too")
    given = parser.parse_args()
    rows, lines = (
        [],
        [
            "| backbone | pixels | numbers | pooling | 1 − cos | largest | refused |",
            "|---|--:|--:|---|--:|--:|---|",
        ],
    )
    print("\n".join(lines), flush=True)
    for name in given.names or (*TIMM, *TORCHVISION):
        rows.append(check(name))
        lines.append(line(rows[-1]))
        print(lines[-1], flush=True)
    good = sum(not row.reason for row in rows)
    lines.append(f"\n{good} of {len(rows)} give a graph that finds the same as torch.")
    print(lines[-1])
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
