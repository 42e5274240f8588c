"""The public Python interface: ``hifa_cli`` itself offers these names, see ``docs/api.md``."""
