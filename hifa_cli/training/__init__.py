"""A training run: set-up, steps, checkpoints, monitoring, validation, cost estimates."""
