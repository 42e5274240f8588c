"""Shallow adaptation of embeddings: fitted on photos with labels and shapes without, kept, applied to others.

The labels of shapes are never read: neither those of the file that is fitted on nor those of the file that
is adapted.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hifa_cli import __version__
from hifa_cli.adaptation.jgsa import Jgsa, fit_jgsa
from hifa_cli.adaptation.meda import Meda, fit_meda, memory_needed
from hifa_cli.config import ADAPT_DIMENSIONS, AdaptConfig
from hifa_cli.embeddings.io import GROUPS, Embeddings, Export
from hifa_cli.errors import HifaError
from hifa_cli.render.workers import machine_memory
from hifa_cli.runtime import progress
from hifa_cli.runtime.atomic import written_file
from hifa_cli.runtime.seeding import numpy_stream

KINDS: dict[str, type[Jgsa] | type[Meda]] = {"jgsa": Jgsa, "meda": Meda}
_GB = 1e9


@dataclass(frozen=True)
class Maps:
    """A fitted adaptation: call it with what the same model makes of new photos or shapes.

    Attributes:
        fitted: the maps themselves.
        config: how they were fitted.
        base: digest of the model whose embeddings they take; '' where it is not known.
        base_method: its training method.
    """

    fitted: Jgsa | Meda
    config: AdaptConfig
    base: str = ""
    base_method: str = ""

    @property
    def width(self) -> int:
        """D, the length of the vectors that it takes."""
        return len(self.fitted.source if isinstance(self.fitted, Jgsa) else self.fitted.projection)

    @property
    def method(self) -> str:
        """Return the shallow method and that of the model below it."""
        return f"{self.config.method}:{self.base_method}" if self.base_method else self.config.method

    def __call__(self, vectors: NDArray[np.floating], domain: str) -> NDArray[np.float32]:
        """Adapt (n, D) vectors of ``images`` or ``shapes``: (n, W) float32.

        Retrieval sets negative values to zero. Where values have signs (JGSA, MEDA's manifold) and
        ``split_signs`` is set, max(z, 0) and max(−z, 0) stand side by side, so that nothing is lost.
        """
        if isinstance(self.fitted, Jgsa):
            found, signed = self.fitted(vectors, GROUPS.index(domain)), True
        elif self.config.output == "manifold":
            found, signed = self.fitted.manifold(vectors), True
        else:
            found, signed = self.fitted(vectors), False
        if signed and self.config.split_signs:
            found = np.concatenate((np.maximum(found, 0), np.maximum(-found, 0)), axis=1)
        return found.astype(np.float32)

    def digest(self) -> str:
        """SHA-256 over the maps, the settings and the model below."""
        total = hashlib.sha256(json.dumps([self.base, asdict(self.config)], sort_keys=True).encode())
        for name, array in _arrays(self.fitted).items():
            total.update(f"{name}{array.shape}".encode() + array.tobytes())
        return total.hexdigest()


def _arrays(fitted: Jgsa | Meda) -> dict[str, NDArray[Any]]:
    return {part.name: np.ascontiguousarray(getattr(fitted, part.name)) for part in fields(fitted)}


def adapt(test: Export, fit: Export, config: AdaptConfig) -> Export:
    """Fit on one export, adapt another: the same schema, items and labels, other vectors.

    Args:
        test: what is adapted; may lack a domain.
        fit: photos with labels and shapes; it may be ``test`` itself (transductive).
        config: method and settings.

    Returns:
        The export, its vectors adapted.

    Raises:
        HifaError: the exports are not of one model, there is nothing to fit on, or it needs too much memory.
    """
    return apply_maps(test, fit_maps(fit, config))


def fit_maps(fit: Export, config: AdaptConfig) -> Maps:
    """Fit on photos with labels and shapes, whose labels are not read.

    Raises:
        HifaError: nothing to fit on, a dimension that is too large, or too little memory.
    """
    if fit.images is None or fit.shapes is None or not len(fit.shapes):
        raise HifaError(
            "fitting needs photos and shapes: export both with 'hifa export --images … --shapes …'"
        )
    known = fit.images.labels >= 0
    if not known.any():
        raise HifaError("fitting needs photos with labels: export from folders named by class")
    if not known.all():
        progress.warn(f"{int((~known).sum())} photos without a label are left out of fitting")
    source, target = fit.images.vectors[known].astype(np.float64), fit.shapes.vectors.astype(np.float64)
    labels = fit.images.labels[known]
    dimension = _dimension(config, len(source), len(target), source.shape[1])
    _check_memory(config, len(source) + len(target), source.shape[1])
    fitted: Jgsa | Meda
    if config.method == "jgsa":
        fitted = fit_jgsa(source, labels, target, config, dimension)
    else:
        generator = numpy_stream(config.seed, "landmarks")
        fitted = fit_meda(source, labels, target, config, dimension, generator)
    return Maps(fitted, config, fit.model, fit.method)


def apply_maps(export: Export, maps: Maps) -> Export:
    """Adapt every vector of an export.

    Raises:
        HifaError: the export is not of the model whose embeddings the maps were fitted on.
    """
    parts = [part for part in (export.images, export.shapes) if part is not None]
    if any(part.vectors.shape[1] != maps.width for part in parts) or export.model != maps.base:
        raise HifaError(
            "the embeddings are not of the model that was fitted on: export both with the same --model"
        )

    def adapted(name: str) -> Embeddings | None:
        part: Embeddings | None = getattr(export, name)
        return None if part is None else replace(part, vectors=maps(part.vectors, name))

    return replace(
        export,
        images=adapted("images"),
        shapes=adapted("shapes"),
        hifa_version=__version__,
        method=maps.method,
        model=maps.digest(),
        config={"adapt": asdict(maps.config), "base_model": maps.base, "base": export.config},
    )


def _dimension(config: AdaptConfig, photos: int, shapes: int, width: int) -> int:
    most = 2 * width if config.method == "jgsa" else min(width // 2, photos - 1, shapes - 1)
    if most < 1:
        raise HifaError(
            f"{photos} photos and {shapes} shapes of {width} numbers are too few for {config.method}"
        )
    if config.dimension > most:
        raise HifaError(f"--dimension {config.dimension} is too large here: {config.method} allows {most}")
    own = ADAPT_DIMENSIONS[config.method]
    if not config.dimension and own > most:
        progress.warn(f"{config.method} takes {most} dimensions here instead of its own {own}")
    return config.dimension or min(own, most)


def _check_memory(config: AdaptConfig, count: int, width: int) -> None:
    """Say what a large fit needs, and refuse what the machine does not have.

    Raises:
        HifaError: it has less.
    """
    jgsa = config.method == "jgsa"
    need = 8.0 * 5 * (2 * width) ** 2 if jgsa else memory_needed(count, min(config.landmarks, count))
    if need > _GB:
        progress.note(f"fitting {config.method} on {count} vectors needs {need / _GB:.1f} GB of memory")
    if need > (have := machine_memory()):
        remedy = "reduce the dimension of the embedding" if jgsa else "give --landmarks N, e.g. 2000"
        raise HifaError(
            f"fitting {config.method} on {count} vectors needs {need / _GB:.1f} GB of memory, "
            f"this machine has {have / _GB:.1f}: {remedy}"
        )


def save_maps(path: Path, maps: Maps) -> None:
    """Write maps as safetensors; the file appears whole or not at all.

    Raises:
        HifaError: the place cannot be written to.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    about = {"schema": 1, "base": maps.base, "base_method": maps.base_method, "config": asdict(maps.config)}
    with written_file(path) as temporary:
        try:
            save_file(_arrays(maps.fitted), temporary, metadata={"hifa_adapt": json.dumps(about)})
        except SafetensorError as error:  # a full disk, for one
            raise HifaError(f"cannot write {path}: {error}; make room or choose another --maps") from error


def load_maps(path: Path) -> Maps:
    """Read maps that ``save_maps`` wrote.

    Raises:
        HifaError: no such file exists or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})["hifa_adapt"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["schema"] != 1:
            raise HifaError(f"{path} is of another schema; fit it again with this version of hifa")
        config = AdaptConfig(**about["config"])
        maps = Maps(KINDS[config.method](**arrays), config, str(about["base"]), str(about["base_method"]))
        _check_arrays(maps)
    except FileNotFoundError as error:
        raise HifaError(
            f"the file of maps {path} does not exist: write one with 'hifa adapt --maps'"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, SafetensorError) as error:
        raise HifaError(f"{path} holds no maps of 'hifa adapt': fit them again with --maps") from error
    return maps


def _check_arrays(maps: Maps) -> None:
    """Return whether the arrays fit each other: an empty photo and an empty shape go through.

    Raises:
        ValueError: they do not.
    """
    arrays = _arrays(maps.fitted).values()
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("values that are not finite")
    for domain in GROUPS:
        maps(np.zeros((1, maps.width), np.float32), domain)
