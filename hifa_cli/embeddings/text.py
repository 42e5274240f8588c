"""The words' side of a gallery's encoder: kept beside its weights, read when a text is looked for."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hifa_cli.errors import HifaError
from hifa_cli.runtime.atomic import written_file

if TYPE_CHECKING:
    from torch import Tensor

TEXT_WEIGHTS, TEXT_ABOUT = "text.safetensors", "text.json"


def save_words(folder: Path, architecture: str, state: "dict[str, Tensor]") -> None:
    """Write the words' side of an encoder beside its weights.

    Args:
        folder: of the model.
        architecture: open_clip's name of the whole model.
        state: of the words' side.
    """
    from hifa_cli.models.network import write_tensors

    with written_file(folder / TEXT_WEIGHTS) as path:
        write_tensors({name: tensor.contiguous() for name, tensor in state.items()}, path)
    sha256 = hashlib.sha256((folder / TEXT_WEIGHTS).read_bytes()).hexdigest()
    with written_file(folder / TEXT_ABOUT) as path:
        path.write_text(json.dumps({"architecture": architecture, "sha256": sha256}) + "\n", encoding="utf-8")


def knows_words(folder: Path | None) -> bool:
    """Return whether the encoder in a folder has a words' side."""
    return folder is not None and (folder / TEXT_ABOUT).is_file()


def text_vector(folder: Path | None, text: str) -> NDArray[np.float32]:
    """Return the (1, D) vector of a text, in the space of the pictures.

    Args:
        folder: of the gallery's model.
        text: what to look for.

    Raises:
        HifaError: the model has no words' side or it is damaged, or open_clip is not installed.
    """
    if folder is None or not knows_words(folder):
        raise HifaError(
            "the gallery's encoder knows no words: index the meshes with --backbone openclip/ViT-B-32 (or "
            "another name of open_clip) to look for a --text"
        )
    try:
        about = json.loads((folder / TEXT_ABOUT).read_text(encoding="utf-8"))
        architecture, digest = str(about["architecture"]), str(about["sha256"])
        content = (folder / TEXT_WEIGHTS).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HifaError(f"cannot read {folder / TEXT_ABOUT}: damaged; build the gallery again") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise HifaError(f"{folder / TEXT_WEIGHTS} is damaged: build the gallery again")
    from safetensors.torch import load

    from hifa_cli.models.clip import words_vector

    found: NDArray[np.float32] = words_vector(architecture, load(content), text).numpy()
    return found
