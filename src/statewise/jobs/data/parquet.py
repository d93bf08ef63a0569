"""What the headers of a Parquet file say of sizes, looked at before anything is made of them.

polars takes memory for as many values as a page says that it has, and where that is nonsense its process ends. Headers
are Thrift's compact protocol: https://parquet.apache.org/docs/file-format/metadata/.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

MAGIC = b"PAR1"
_DEEPEST, _MOST_PAGES = 16, 10_000_000


class Sizes(NamedTuple):
    """Of all columns of a file."""

    values: int
    unpacked: int
    """Bytes of the pages."""


def sizes(content: bytes) -> Sizes:
    """How much there is in a file. ValueError where its headers contradict themselves, or the file."""
    try:
        return _sizes(content)
    except (IndexError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise ValueError(f"no header: {error}") from None


def _sizes(content: bytes) -> Sizes:
    if len(content) < 12 or content[-4:] != MAGIC:
        raise ValueError("no footer")
    length = int.from_bytes(content[-8:-4], "little")
    if length > len(content) - 12:
        raise ValueError("a footer that is longer than the file")
    footer = _Thrift(content, len(content) - 8 - length).struct()
    values = unpacked = 0
    for group in footer.get(4, []):
        for chunk in group[1]:
            told = chunk[3]
            counts = _pages(content, told)
            values, unpacked = values + counts.values, unpacked + counts.unpacked
    return Sizes(values, unpacked)


def _pages(content: bytes, told: dict[int, Any]) -> Sizes:
    """Of one column in one group of rows."""
    count, packed, at = told[5], told[7], told[9]
    if 0 < told.get(11, 0) < at:  # a dictionary before the data
        at = told[11]
    end = at + packed
    if count < 0 or packed < 0 or not 0 <= at <= end <= len(content):
        raise ValueError("a column that isn't in the file")
    values = unpacked = pages = 0
    while at < end:
        reader = _Thrift(content, at)
        header = reader.struct()
        own = header.get(5) or header.get(8)
        here = (own or header.get(7) or {1: 0})[1]
        at = reader.at + header[3]
        pages += 1
        if header[2] < 0 or header[3] < 0 or not 0 <= here <= count or at > end or pages > _MOST_PAGES:
            raise ValueError("a page of impossible size")
        values, unpacked = values + (here if own else 0), unpacked + header[2]
    if values > count:
        raise ValueError("more values than there are")
    return Sizes(values, unpacked)


class _Thrift:
    """Values one after the other, as far as headers have such."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content, self.at, self._depth = content, at, 0

    def struct(self) -> dict[int, Any]:
        """Fields by their numbers."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("structures in structures")
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._whole()
            kind = head & 15
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        self._depth -= 1
        return found

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _varint(self) -> int:
        found = shift = 0
        while shift < 70:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
        raise ValueError("a number without end")

    def _whole(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._whole()
            case 7:
                self.at += 8
                return struct.unpack_from("<d", self.content, self.at - 8)[0]
            case 8:
                size = self._varint()
                if size > len(self.content) - self.at:
                    raise ValueError("text that is longer than the file")
                self.at += size
                return None  # nobody asks what it says
            case 9 | 10:
                return self._list()
            case 12:
                return self.struct()
        raise ValueError(f"a value of the kind {kind}")

    def _list(self) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self.content) - self.at:
            raise ValueError("a list that is longer than the file")
        return [self._value(head & 15) for _ in range(size)]
