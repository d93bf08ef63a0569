"""Some of statewise's commands in this one process, each when the one before has ended well: ``in_turn.py JSON``."""

from __future__ import annotations

import json
import sys

from statewise import cli

if __name__ == "__main__":
    for argv in json.loads(sys.argv[1]):
        if status := cli.main(argv):
            sys.exit(status)
