"""Packages that a slim install leaves out: which verb's work needs them, in one line with the command."""

_COMMANDS = {  # what brings a module that is not there
    "torch": "pip install torch torchvision timm",
    "torchvision": "pip install torch torchvision timm",
    "timm": "pip install torch torchvision timm",
    "faiss": "pip install faiss-cpu",
    "matplotlib": "pip install matplotlib scikit-learn scipy",
    "sklearn": "pip install matplotlib scikit-learn scipy",
    "scipy": "pip install scipy",
    "pyrender": "pip install pyrender",
    "onnx": "pip install onnx",
    "lxml": "pip install lxml",
}


def command_for(module: str) -> str:
    """Return the command that brings a module."""
    return _COMMANDS[module]


def what_is_missing(error: ModuleNotFoundError, verb: str) -> str | None:
    """Return what to say of a module that is not installed; None where it is not a package of ours to name.

    Args:
        error: of the import.
        verb: that was asked for.
    """
    name = (error.name or "").partition(".")[0]
    if name not in _COMMANDS:
        return None
    return f"'hifa {verb}' needs {name} for this, which is not installed: {_COMMANDS[name]}"
