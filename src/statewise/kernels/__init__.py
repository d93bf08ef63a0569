"""How a stack is computed fast, a folder for each kind of device."""
