"""The rows of a comparison as they are written on the command line.

hifa                              a training method
hifa(weight_mutual=0,radius=30)   the same with settings of its own
package.module:Class              a training method of the user's
default                           the default recipe of 'hifa train', with the comparison's own budget
frozen                            the comparison's own backbone, pretrained and never trained
frozen:resnet50(weights=FILE)     any other backbone
jgsa, jgsa(dimension=30):hifa     a shallow method on the embeddings of a row (source-only)
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from hifa_cli.config import DEFAULT_RECIPE, AdaptConfig
from hifa_cli.settings import pairs

FROZEN, DEFAULT = "frozen", "default"
SHALLOW: tuple[str, ...] = get_args(get_type_hints(AdaptConfig)["method"])
BASE = "source-only"  # the paper adapts the features of this network
Kind = Literal["trained", "frozen", "adapted"]


@dataclass(frozen=True)
class Arm:
    """A row of the table.

    Attributes:
        name: as written, without spaces.
        kind: trained, frozen, or adapted from another row's embeddings.
        method: of training, ``frozen``, or the shallow method.
        overrides: settings of its own, as text by name.
        backbone: of a frozen row; '' is the comparison's.
        base: the row whose embeddings are adapted.
        default: whether it is the default recipe of ``hifa train``.
    """

    name: str
    kind: Kind
    method: str
    overrides: tuple[tuple[str, str], ...] = ()
    backbone: str = ""
    base: "Arm | None" = None
    default: bool = False


def parse_arms(text: str) -> tuple[Arm, ...]:
    """Return the rows in a list separated by commas; one written twice counts once.

    Raises:
        ValueError: a row that cannot be read; the message says which and why.
    """
    parts = _split(text)
    if not parts:
        raise ValueError("no methods: name at least one, e.g. source-only,hifa")
    return tuple({arm.name: arm for arm in map(parse_arm, parts)}.values())


def parse_arm(text: str) -> Arm:
    """Return one row.

    Raises:
        ValueError: it cannot be read.
    """
    text = re.sub(r"\s+", "", text)
    head, own, rest = _parted(text)
    if head.partition(":")[0] == FROZEN:
        if rest:
            raise ValueError(f"'{text}': write frozen:BACKBONE(key=value)")
        return Arm(text, "frozen", FROZEN, own, backbone=head.partition(":")[2])
    if head in SHALLOW:
        base = parse_arm(rest or BASE)
        if base.kind == "adapted":
            raise ValueError(f"'{text}': {head} adapts a trained or frozen row, not {base.name}")
        return Arm(text, "adapted", head, own, base=base)
    if rest:
        raise ValueError(f"'{text}': nothing may follow the settings of {head}")
    if head == DEFAULT:
        return Arm(text, "trained", DEFAULT_RECIPE[0], own, default=True)
    return Arm(text, "trained", head, own)


def _parted(text: str) -> tuple[str, tuple[tuple[str, str], ...], str]:
    """Return ``NAME(k=v,…):REST`` as name, settings, rest."""
    opened = text.find("(")
    if opened < 0:
        if ")" in text or not text:
            raise ValueError(f"'{text}' is not a method")
        head, _, rest = text.partition(":") if text.partition(":")[0] in SHALLOW else (text, "", "")
        return head, (), rest
    head = text[:opened]
    if head.partition(":")[0] in SHALLOW and ":" in head:  # the settings are those of the base
        head, _, rest = text.partition(":")
        return head, (), rest
    closed = text.find(")", opened)
    if closed < 0 or not head or (text[closed + 1 :] and text[closed + 1] != ":"):
        raise ValueError(f"'{text}': write METHOD(key=value,key=value)")
    return head, pairs(text[opened + 1 : closed].split(",")), text[closed + 2 :]


def _split(text: str) -> list[str]:
    """Parts between the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]
