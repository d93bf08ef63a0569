from typing import Any

PROGRAMS: dict[str, Any] = {}
