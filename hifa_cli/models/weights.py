"""A new network and where its weights come from: the install, a download, a file, or chance."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from hifa_cli.config import ModelConfig
from hifa_cli.errors import HifaError
from hifa_cli.models.backbones import TORCHVISION, backbone_of, licence_note
from hifa_cli.models.clip import ClipTrunk, load_clip
from hifa_cli.models.lite import LITES, members, packaged_weights
from hifa_cli.models.network import Network, PairTrunk, TimmTrunk, Trunk, timm_model
from hifa_cli.runtime import progress

State = dict[str, Tensor]


def build_network(config: ModelConfig, weights: str, generator: torch.Generator) -> Network:
    """Return a network whose trunk has ``weights`` and whose head is fresh.

    Args:
        config: architecture.
        weights: ``imagenet``, ``none``, a file of weights for the trunk or the whole network, or a folder
            of such files.
        generator: draws the fresh parameters.

    Returns:
        The network.

    Raises:
        HifaError: the weights cannot be had or do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        network = Network(replace(config, norm="shared"))  # weights are those of a plain trunk
        _reset_head(network, config)
    if weights != "none":
        load_trunk(network, config.backbone, weights)
    network.config = config
    if config.norm != "shared":
        network.separate_norms()
    return network


def _reset_head(network: Network, config: ModelConfig) -> None:
    """Initialise the head: ``orthogonal`` keeps the trunk's geometry, ``gaussian`` is MSTN's recipe."""
    if isinstance(network.bottleneck, nn.Linear):
        if config.head_init == "orthogonal":
            nn.init.orthogonal_(network.bottleneck.weight)
            nn.init.zeros_(network.bottleneck.bias)
        else:
            nn.init.normal_(network.bottleneck.weight, std=0.01)
            nn.init.constant_(network.bottleneck.bias, 0.1)
    if config.head_init == "gaussian":
        nn.init.normal_(network.classifier.weight, std=0.005)
        nn.init.constant_(network.classifier.bias, 0.1)


def load_trunk(network: Network, backbone: str, weights: str) -> None:
    """Fill the network's trunk with ``imagenet`` weights or with those of a file.

    Args:
        network: whose trunk is filled.
        backbone: its name.
        weights: ``imagenet``, a file, or a folder of files.

    Raises:
        HifaError: the weights cannot be had here or do not fit; says where to put a file.
    """
    if weights == "imagenet" and (said := licence_note(backbone_of(backbone))):
        _say_once(said)
    if weights != "imagenet":
        path = Path(weights)
        _load_file(network, weights_in(path, backbone) if path.is_dir() else path)
    elif backbone in LITES:
        trunks = network.trunk.each if isinstance(network.trunk, PairTrunk) else (network.trunk,)
        for trunk, name in zip(trunks, members(backbone), strict=True):
            _load_in_order(trunk, read_weights(packaged_weights(name)))
    elif backbone == "alexnet":
        _load_alexnet(network.trunk, _download(backbone))
    elif isinstance(network.trunk, ClipTrunk):
        load_clip(network.trunk, backbone, network.config.size, None)
    elif backbone.startswith(TORCHVISION):
        _load_torchvision(network.trunk, _download(backbone.removeprefix(TORCHVISION)))
    else:
        _load_timm(network.trunk, backbone, network.config.size)


def expected_files(backbone: str) -> tuple[str, ...]:
    """Return the names that a backbone's weights may have in a folder, the preferred one first.

    They are the names that the libraries' downloads have, and the backbone's own with ``.safetensors``.
    """
    own = backbone.removeprefix(TORCHVISION)
    row = backbone_of(backbone)
    if row.package == "torchvision":
        from torchvision.models import get_model_weights

        url = get_model_weights(row.model).DEFAULT.url
        return (f"{own}.safetensors", url.rsplit("/", 1)[-1], f"{own}.pth")
    if row.package == "open_clip":
        whole = row.model.replace("@", ".")
        return (f"{whole}.safetensors", f"{whole}.pt", f"{row.model.partition('@')[0]}.safetensors")
    import timm

    known = timm.get_pretrained_cfg(row.model)
    whole = f"{row.model.split('.')[0]}.{known.tag}" if known is not None and known.tag else row.model
    names = [f"{own}.safetensors", f"{whole}.safetensors", f"{whole}/model.safetensors", f"{own}.pth"]
    if known is not None and known.url:
        names.append(str(known.url).rsplit("/", 1)[-1])
    return tuple(dict.fromkeys(names))


def weights_in(folder: Path, backbone: str) -> Path:
    """Return the file of a backbone's weights in a folder of weights.

    Raises:
        HifaError: none of the expected files is there.
    """
    names = expected_files(backbone)
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise HifaError(f"no weights of {backbone} in {folder}: put one of {', '.join(names)} there")
    return found


@cache
def _say_once(note: str) -> None:
    """Report a licence once in a process, however many networks are built."""
    progress.note(note)


def read_weights(path: Path) -> State:
    """Read a safetensors file or a state dict, never unpickling code.

    Raises:
        HifaError: the file cannot be read or holds more than tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise HifaError(f"no weights at {path}: check --weights") from error
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise HifaError(f"cannot read the weights {path}: neither safetensors nor a state dict") from error
    except Exception as error:  # torch raises pickle.UnpicklingError for anything but tensors
        raise HifaError(
            f"{path} holds more than tensors and was not opened: save a plain state dict"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise HifaError(f"{path} is not a state dict: save model.state_dict()")
    for name, value in state.items():
        if not _is_plain(value) or not torch.isfinite(value).all():
            raise HifaError(f"{path}: {name[:80]!r} holds no plain, finite numbers: save model.state_dict()")
    return state


def _is_plain(tensor: Tensor) -> bool:
    """Return whether it holds all its numbers: it is not sparse, quantised, complex, stretched or empty."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    whole = tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    return whole and not (tensor.is_quantized or tensor.is_complex())


def _load_in_order(trunk: Trunk, state: State) -> None:
    """Map the original EfficientNet-Lite names to timm's: both list the same tensors in the same order.

    The test suite compares the outputs with the original code's; they are equal to the bit.
    """
    target = trunk.net.state_dict()
    values = list(state.values())[: len(target)]  # the rest is ImageNet's classifier
    if [tuple(a.shape) for a in values] != [tuple(b.shape) for b in target.values()]:
        raise HifaError("the installed EfficientNet-Lite weights do not fit; reinstall hifa")
    trunk.net.load_state_dict(dict(zip(target, values, strict=True)))


def _download(name: str) -> State:
    """Torchvision's ImageNet weights of a model, by its own mechanism and cache."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    try:
        return torch.hub.load_state_dict_from_url(url, weights_only=True, check_hash=True, map_location="cpu")
    except (OSError, RuntimeError) as error:
        target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
        raise HifaError(
            f"cannot download the ImageNet weights of {name}; fetch {url} elsewhere, then put it at {target} "
            "or pass --weights FILE"
        ) from error


def _load_alexnet(trunk: Trunk, state: State) -> None:
    mine = {name: value for name, value in state.items() if not name.startswith("classifier.6.")}
    trunk.load_state_dict(mine)


def _load_torchvision(trunk: Trunk, state: State) -> None:
    """All but the classifier, which the trunk does not have."""
    trunk.net.load_state_dict({name: state[name] for name in trunk.net.state_dict()})


def _load_timm(trunk: Trunk, backbone: str, size: int) -> None:
    row = backbone_of(backbone)
    try:
        with _hub():
            loaded = timm_model(row, size, pretrained=True)
    except Exception as error:  # the hub raises many kinds, none of them documented
        raise HifaError(
            f"cannot download {backbone}'s weights: the model hub cannot be reached or lacks them; pass "
            f"--weights FILE, or --weights FOLDER with {' or '.join(expected_files(backbone)[:3])} in it"
        ) from error
    trunk.net.load_state_dict(loaded.state_dict())


@contextmanager
def _hub() -> Iterator[None]:
    """Let timm ask its hub, which without a network would try for a minute, aloud, even for what it has."""
    from huggingface_hub import constants

    logger, offline = logging.getLogger("huggingface_hub"), constants.HF_HUB_OFFLINE
    level = logger.level
    logger.setLevel(logging.ERROR)
    if not offline and not getproxies():
        try:
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def _load_by_timm(trunk: Trunk, config: ModelConfig, state: State, path: Path) -> None:
    """Let timm fit its own checkpoint: names of other releases, positions of another size of picture.

    timm skips what a checkpoint lacks; so the model is built from two seeds, and what differs was not loaded.

    Raises:
        HifaError: it does not fit.
    """
    row, built = backbone_of(config.backbone), []
    with torch.random.fork_rng(devices=[]):
        for seed in (0, 1):
            torch.manual_seed(seed)
            try:
                built.append(timm_model(row, config.size, state=dict(state)).state_dict())
            except Exception as error:  # whatever timm's filters make of a foreign checkpoint
                raise _unfit(path, config.backbone) from error
    lacking = [name for name, value in built[0].items() if not torch.equal(value, built[1][name])]
    if lacking:
        raise HifaError(
            f"the weights {path} lack {len(lacking)} of {len(built[0])} tensors of the backbone "
            f"'{config.backbone}', such as {lacking[0]}: give a checkpoint of this backbone"
        )
    trunk.net.load_state_dict(built[0])


def _unfit(path: Path, backbone: str) -> HifaError:
    return HifaError(f"the weights {path} do not fit the backbone '{backbone}': give a checkpoint of it")


def _load_file(network: Network, path: Path) -> None:
    """A file may hold a whole hifa network, a trunk, or torchvision's or timm's own state dict."""
    state = read_weights(path)
    if not state:  # timm would take it for none and ask its hub
        raise _unfit(path, network.config.backbone)
    if isinstance(network.trunk, ClipTrunk) and not any(name.startswith("trunk.") for name in state):
        load_clip(network.trunk, network.config.backbone, network.config.size, state)
        return
    for module, candidate in (
        (network.trunk, {k.removeprefix("trunk."): v for k, v in state.items() if k.startswith("trunk.")}),
        (network.trunk, {k: v for k, v in state.items() if not k.startswith("classifier.6.")}),
        (getattr(network.trunk, "net", network.trunk), state),
    ):
        wanted = module.state_dict()
        usable = {k: v for k, v in candidate.items() if k in wanted and v.shape == wanted[k].shape}
        if len(usable) == len(wanted):
            module.load_state_dict(usable)
            return
    single = network.config.backbone in LITES and isinstance(network.trunk, TimmTrunk)
    if single and "_conv_stem.weight" in state:
        _load_in_order(network.trunk, state)
        return
    if type(network.trunk) is TimmTrunk:
        _load_by_timm(network.trunk, network.config, state, path)
        return
    raise _unfit(path, network.config.backbone)
