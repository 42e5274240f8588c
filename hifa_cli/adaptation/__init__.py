"""Shallow adaptation: two matrices of embeddings in, adapted embeddings out (JGSA, MEDA)."""
