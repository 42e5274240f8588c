"""Lets ``python -m hifa_cli`` and ``torchrun -m hifa_cli`` work like ``hifa``."""

from hifa_cli.cli import main

if __name__ == "__main__":
    main()
