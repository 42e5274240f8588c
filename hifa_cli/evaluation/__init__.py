"""Retrieval metrics, scores of an export, and confidence intervals."""
