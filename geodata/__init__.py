"""Places and shapes: codes, tree, coordinate systems, repair, simplification, encoding. Pure."""
