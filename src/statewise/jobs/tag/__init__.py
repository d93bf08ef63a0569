"""Give every word of a sentence a tag."""
