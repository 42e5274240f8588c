"""Pictures to vectors: HDF5 files of embeddings, extraction, the encoder without torch, cached features."""
