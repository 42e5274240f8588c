"""The web page: its server, its document, and the viewer."""
