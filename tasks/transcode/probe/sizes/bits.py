"""Reading of single bits, most significant first, as the headers of video codecs need it.

Runs only in the probe's child process.
"""

from __future__ import annotations


class Bits:
    """The bits of a header. After its end there are zeros."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._value, self._left = int.from_bytes(content, "big"), 8 * len(content)

    def read(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def read_golomb(self) -> int:
        """Return the next number in the variable-length code ue(v) of H.264 (clause 9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if self._left <= 0:
                return 0
        return (1 << zeros) - 1 + self.read(zeros)
