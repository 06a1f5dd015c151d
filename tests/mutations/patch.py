"""A mutation: one removed safeguard, and the tests that must detect it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Patch that removes a safeguard.

    `old` occurs exactly once in `file`, a path relative to the project's root. `tests` are pytest
    node ids; `long` is true if they need --long.
    """

    name: str
    promise: int
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    long: bool = False

    def applied_to(self, text: str) -> str:
        """Return the text without the safeguard. Raises ValueError if the patch no longer fits."""
        if text.count(self.old) != 1:
            message = f"patch {self.name}: its old text occurs {text.count(self.old)} times in {self.file}, not once"
            raise ValueError(message)
        return text.replace(self.old, self.new)
