"""Runs and galleries on the Hugging Face Hub: sent, fetched, checked; nothing of it is ever executed."""
