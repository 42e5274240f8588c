"""A world to try everything on: procedural shapes of ten kinds, and photos of other things of those kinds."""
