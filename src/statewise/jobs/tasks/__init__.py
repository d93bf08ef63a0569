"""The jobs, a folder each: what is their own alone."""
