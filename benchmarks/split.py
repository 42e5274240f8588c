"""Lay out a folder of classes as train/ and test/ by a hash of each item's name; nothing is copied.

python benchmarks/split.py photos split/photos --test 30
"""

import argparse
import hashlib
from pathlib import Path


def is_test(name: str, share: int) -> bool:
    """Whether an item belongs to the ``share`` per cent of the test split."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 100 < share


def main() -> None:
    """Link every file of SOURCE/<class>/ into TARGET/<split>/<class>/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--test", type=int, default=30, help="per cent of the items")
    options = parser.parse_args()
    counts = {"train": 0, "test": 0}
    for path in sorted(options.source.glob("*/*")):
        name = f"{path.parent.name}/{path.stem}"
        split = "test" if is_test(name, options.test) else "train"
        link = options.target / split / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
        counts[split] += 1
    print(counts)


if __name__ == "__main__":
    main()
