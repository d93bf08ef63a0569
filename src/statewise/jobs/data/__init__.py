"""Tables, columns, frames and text, as they are read; and the built-in examples."""
