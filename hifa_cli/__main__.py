"""Lets ``python -m hifa_cli`` and ``torchrun -m hifa_cli`` work like ``hifa``."""

from hifa_cli.runtime.first import drop_current_folder

drop_current_folder(as_module=True)  # a json.py there must not pass for the library

from hifa_cli.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
