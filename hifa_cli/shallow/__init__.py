"""Shallow methods: two matrices of embeddings to maps between them, fitted without labels of shapes."""
