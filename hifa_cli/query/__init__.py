"""Photo queries: parse, embed, search, and score a labelled batch."""
