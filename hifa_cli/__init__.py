"""HIFA: find 3D shapes from a photo.

The Python interface in one place; ``docs/api.md`` shows it at work::

    import hifa_cli as hifa

    views = hifa.render("meshes/", "views/")
    run = hifa.train("photos/", views, out="run/", method="hifa")
    embeddings = hifa.embed(run, images="photos/", shapes=views, split="test")
    print(hifa.evaluate(embeddings))
    hifa.build_gallery("meshes/", "gallery/", model=run)
    hits = hifa.open_gallery("gallery/").query("photo.jpg", top_k=5)

A name is imported when it is first used (PEP 562), so that ``import hifa_cli`` loads neither torch nor faiss
nor trimesh. ``__init__.pyi`` tells type checkers the same names.
"""

__version__ = "0.2.0"

_HOMES = {
    "Client": "hifa_cli.api.client",
    "Export": "hifa_cli.embeddings.io",
    "Gallery": "hifa_cli.api.gallery",
    "HifaError": "hifa_cli.errors",
    "Hit": "hifa_cli.api.gallery",
    "Hits": "hifa_cli.api.gallery",
    "Reporter": "hifa_cli.runtime.progress",
    "Run": "hifa_cli.api.results",
    "Scores": "hifa_cli.evaluation.evaluate",
    "Views": "hifa_cli.api.results",
    "build_gallery": "hifa_cli.api.stages",
    "embed": "hifa_cli.api.stages",
    "evaluate": "hifa_cli.api.stages",
    "merge_shards": "hifa_cli.api.stages",
    "open_gallery": "hifa_cli.api.stages",
    "render": "hifa_cli.api.stages",
    "reporting": "hifa_cli.runtime.progress",
    "train": "hifa_cli.api.stages",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    import importlib  # not above: the command first takes the current folder off the path

    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module 'hifa_cli' has no attribute '{name}'")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    """List the public names beside what is loaded already."""
    return sorted({*globals(), *_HOMES})
