"""Training methods: the base class, HIFA and its ablations, the rivals, and their registry."""
