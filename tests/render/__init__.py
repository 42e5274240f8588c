"""The render room: what is drawn, by what, and what happens to meshes that cannot be."""
