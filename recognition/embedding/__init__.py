"""One global embedding per photograph, beside its local features."""
