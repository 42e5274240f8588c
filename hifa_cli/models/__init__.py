"""The network, the critics, and pretrained weights."""
