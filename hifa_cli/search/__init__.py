"""Nearest neighbours: exact order, exact search, FAISS indexes, and the searcher that chooses."""
