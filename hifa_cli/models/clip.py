"""Encoders that know pictures and words (open_clip): the picture's side is a trunk, the words' beside it."""

from typing import Any

import torch
from torch import Tensor

from hifa_cli.errors import HifaError
from hifa_cli.models.backbones import OPENCLIP, backbone_of
from hifa_cli.models.network import Trunk

VISUAL = "visual."  # before the names of the picture's side in open_clip's own checkpoints


def open_clip_module() -> Any:
    """Return the package open_clip.

    Raises:
        HifaError: it is not installed.
    """
    try:
        import open_clip
    except ImportError as error:
        raise HifaError("open_clip is not installed: pip install 'hifa-cli[clip]'") from error
    return open_clip


def clip_model(architecture: str, size: int = 0, pretrained: str | None = None) -> Any:
    """Build a model of open_clip, in evaluation mode.

    Args:
        architecture: a name of ``open_clip.list_models()``.
        size: pixels a side; 0 means those of its pretraining.
        pretrained: which of its weights are fetched; None means random ones.

    Returns:
        The model.

    Raises:
        HifaError: open_clip cannot build it.
    """
    sized: dict[str, Any] = {"force_image_size": size} if size else {}
    try:
        return open_clip_module().create_model(architecture, pretrained=pretrained, **sized).eval()
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HifaError(f"open_clip cannot build {OPENCLIP}{architecture}: {said[:120]}") from error


class ClipTrunk(Trunk):
    """The picture's side of an open_clip model: one vector of a picture, in the space of the words.

    Attributes:
        words: state of the words' side, which is saved beside the network and does not count in its digest.
    """

    words: dict[str, Tensor]

    def __init__(self, name: str, size: int = 0) -> None:
        super().__init__()
        self.take(clip_model(backbone_of(name).model.partition("@")[0], size))

    def take(self, whole: Any) -> None:
        """Take both sides of a model of open_clip."""
        self.net = whole.visual
        self.words = {key: value for key, value in whole.state_dict().items() if not key.startswith(VISUAL)}
        self.width = int(whole.visual.output_dim)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, 3, H, W) normalised pixels to (N, F, 1, 1), without a map, and (N, F)."""
        high = self.net(pixels)
        return high[:, :, None, None], high


def load_clip(trunk: ClipTrunk, backbone: str, size: int, state: dict[str, Tensor] | None) -> None:
    """Fill both sides: with a checkpoint of open_clip, or with what open_clip downloads.

    Args:
        trunk: whose pictures' side is filled.
        backbone: its name.
        size: pixels a side.
        state: a checkpoint of open_clip; None downloads the weights.

    Raises:
        HifaError: the weights cannot be had or do not fit.
    """
    architecture, _, tag = backbone_of(backbone).model.partition("@")
    if state is None:
        trunk.take(clip_model(architecture, size, tag or _first_tag(architecture)))
        return
    whole = clip_model(architecture, size)
    try:
        whole.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    except RuntimeError as error:
        raise HifaError(f"the weights do not fit {backbone}: give a whole checkpoint of open_clip") from error
    trunk.take(whole)


def _first_tag(architecture: str) -> str:
    tags = open_clip_module().list_pretrained_tags_by_model(architecture)
    if not tags:
        raise HifaError(f"open_clip knows no weights of {OPENCLIP}{architecture}: pass --weights FILE")
    return str(tags[0])


@torch.inference_mode()
def words_vector(architecture: str, state: dict[str, Tensor], text: str) -> Tensor:
    """Return the (1, D) vector of a text.

    Args:
        architecture: of the model.
        state: of its words' side.
        text: what to look for.

    Returns:
        (1, D).

    Raises:
        HifaError: the state does not fit, or the model's tokenizer needs a download that fails.
    """
    whole = clip_model(architecture)
    missing, unexpected = whole.load_state_dict(state, strict=False)
    if unexpected or any(not key.startswith(VISUAL) for key in missing):
        raise HifaError(f"the gallery's text tower does not fit {architecture}: build the gallery again")
    try:
        tokens = open_clip_module().get_tokenizer(architecture)([text])
    except Exception as error:  # of a hub, where the tokenizer is not open_clip's own
        raise HifaError(
            f"the tokenizer of {architecture} cannot be had here: choose an encoder with open_clip's own, "
            "such as openclip/ViT-B-32"
        ) from error
    found: Tensor = whole.encode_text(tokens).float()
    return found
