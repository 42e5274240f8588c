"""Tests of the readers: every kind of file that was drawn wrong or refused untruly."""
