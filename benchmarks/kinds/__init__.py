"""One module for each kind of run: its cases, what their sides are, and its tables."""
