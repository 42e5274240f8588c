"""Tools for those who build hifa; nothing in the package needs them."""
