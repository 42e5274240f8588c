"""The documentation as a site: ``python -m tools.site`` stages the pages and builds them with Sphinx."""
