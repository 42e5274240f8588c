"""Hostile files and faults: what strangers send and what machines do."""
