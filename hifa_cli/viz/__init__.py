"""Figures, tables and contact sheets."""
