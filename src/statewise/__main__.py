"""``python -m statewise``."""

import sys

from .cli import main

sys.exit(main())
