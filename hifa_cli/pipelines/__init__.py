"""Whole workflows over several stages: the demo, and comparisons over seeds."""
