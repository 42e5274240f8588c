"""The description of a network in a model's folder, read without torch."""

import json
from pathlib import Path

from hifa_cli.errors import HifaError
from hifa_cli.runtime.kinds import refuse_other

CONFIG_FILE = "model.json"


def read_about(folder: Path) -> dict[str, object]:
    """Return the JSON that ``save_network`` wrote.

    Raises:
        HifaError: no readable model exists in ``folder``.
    """
    try:
        document = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        refuse_other(folder, "a run of 'hifa train'", wanted="a run of 'hifa train'")
        raise HifaError(f"no model in {folder}: give the --out folder of 'hifa train'") from error
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise HifaError(f"{folder / CONFIG_FILE} is of another schema; train again with this version of hifa")
    return document


def has_fused_descriptor(folder: Path) -> bool:
    """Return whether a model's descriptor holds the untrained feature too.

    Raises:
        HifaError: no readable model exists in ``folder``.
    """
    network = read_about(folder).get("model")
    return isinstance(network, dict) and network.get("descriptor") == "fused"
