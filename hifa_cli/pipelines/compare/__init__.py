"""Methods against each other over several seeds: the paper's tables on any data."""
