"""The one table of backbones: what each is built from, how its pictures are prepared, and its licence.

Read by train, export, index, compare and doctor. Everything but the named rows comes from the library's own
record of the model, so every timm and torchvision name has its mean, its deviation and its size here.
"""

import os
from collections.abc import Iterable
from typing import Literal, NamedTuple

from hifa_cli.config import IMAGENET_MEAN, IMAGENET_STD, ModelConfig
from hifa_cli.errors import HifaError
from hifa_cli.models.lite import LITES

TORCHVISION, OPENCLIP = "torchvision/", "openclip/"  # before the name of a backbone
ACCEPT = "HIFA_ACCEPT_LICENCE"  # set by --accept-licence, inherited by worker processes
_APACHE = "Apache-2.0"
_SHORT = {  # name: (timm's name, pixels a side)
    "dinov2-small": ("vit_small_patch14_dinov2.lvd142m", 224),
    "dinov2-base": ("vit_base_patch14_dinov2.lvd142m", 224),
    "siglip2-base": ("vit_base_patch16_siglip_224.v2_webli", 224),
}
_FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
_NON_COMMERCIAL = ("cc-by-nc", "noncommercial", "apple-amlr", "seer-license")

Numbers = tuple[float, float, float]


class Backbone(NamedTuple):
    """One backbone.

    Attributes:
        name: as the user writes it.
        package: that builds it.
        model: the library's name of it.
        mean: of the pictures, RGB in 0 … 1.
        std: of the pictures.
        size: pixels a side that its pretraining saw, or that the short name stands for.
        fixed: whether the network is built for one size (it is then built for the size that is asked for).
        licence: of the weights; "" where nobody says.
    """

    name: str
    package: Literal["timm", "torchvision", "open_clip"]
    model: str
    mean: Numbers
    std: Numbers
    size: int
    fixed: bool
    licence: str


def backbone_of(name: str) -> Backbone:
    """Return the row of a backbone.

    Raises:
        HifaError: no library has such a model, or no such pretraining of it.
    """
    if name in LITES:
        mean, std = ModelConfig.mean, ModelConfig.std
        return Backbone(name, "timm", f"tf_{name}", mean, std, LITES[name], False, _APACHE)
    if name == "alexnet" or name.startswith(TORCHVISION):
        model = name.removeprefix(TORCHVISION)
        fixed = model.startswith("vit_")
        return Backbone(
            name, "torchvision", model, IMAGENET_MEAN, IMAGENET_STD, ModelConfig.size, fixed, "BSD-3-Clause"
        )
    if name.startswith(OPENCLIP):
        return _open_clip(name)
    return _timm(name)


def _open_clip(name: str) -> Backbone:
    """Return the row of ``openclip/ARCHITECTURE`` or ``openclip/ARCHITECTURE@TAG``."""
    try:
        import open_clip
    except ImportError as error:
        raise HifaError(f"backbone '{name}' needs open_clip: pip install 'hifa-cli[clip]'") from error
    model = name.removeprefix(OPENCLIP)
    architecture, _, tag = model.partition("@")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    known = open_clip.get_model_config(architecture) if architecture in open_clip.list_models() else None
    if known is None or (tag and tag not in tags):
        wanted = f"of {', '.join(tags[:5])}" if known is not None else "of open_clip.list_models()"
        raise HifaError(f"no backbone '{name}': open_clip {open_clip.__version__} has none; use one {wanted}")
    about = open_clip.pretrained.get_pretrained_cfg(architecture, tag or next(iter(tags), "")) or {}
    mean, std = (
        about.get("mean", open_clip.OPENAI_DATASET_MEAN),
        about.get("std", open_clip.OPENAI_DATASET_STD),
    )
    side = known["vision_cfg"].get("image_size", ModelConfig.size)
    size = int(side if isinstance(side, int) else side[0])
    return Backbone(name, "open_clip", model, _three(mean), _three(std), size, True, "")


def _three(numbers: Iterable[float]) -> Numbers:
    r, g, b = (float(one) for one in numbers)
    return r, g, b


def _timm(name: str) -> Backbone:
    import timm

    model, side = _SHORT.get(name, (name, 0))
    try:
        if ":" in model or not timm.is_model(model):  # timm would ask a hub, or read any folder
            raise ValueError(f"timm {timm.__version__} has no such model")
        known = timm.get_pretrained_cfg(model)
    except (RuntimeError, ValueError) as error:
        raise HifaError(
            f"no backbone '{name}' ({error}): use {', '.join(LITES)}, alexnet, {', '.join(_SHORT)}, "
            f"{TORCHVISION}NAME or a name of timm.list_models()"
        ) from error
    if known is None:
        return Backbone(name, "timm", model, IMAGENET_MEAN, IMAGENET_STD, ModelConfig.size, False, "")
    (r, g, b), (sr, sg, sb) = known.mean, known.std
    size = side or int(known.input_size[-1])
    fixed = bool(known.fixed_input_size)
    return Backbone(name, "timm", model, (r, g, b), (sr, sg, sb), size, fixed, known.license or "")


def licence_note(row: Backbone) -> str:
    """Return what must be said of the weights' licence; "" where it is free for every use.

    Raises:
        HifaError: the licence forbids commercial use and nobody has accepted it.
    """
    licence = row.licence.lower()
    if licence in _FREE:
        return ""
    if any(word in licence for word in _NON_COMMERCIAL) and not os.environ.get(ACCEPT):
        raise HifaError(
            f"the weights of {row.name} may not be used commercially ({row.licence}): "
            "give --accept-licence if that suits you, or choose another --backbone"
        )
    return f"weights of {row.name}: licence {row.licence or 'not stated'}, read it before you use them"


def named() -> tuple[str, ...]:
    """Return the backbones that have a row or a short name of their own, without loading a library."""
    return (*LITES, "alexnet", *_SHORT, f"{TORCHVISION}resnet50", "resnet50")
