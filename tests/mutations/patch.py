"""What a patch is: one protection taken out, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """`old` stands exactly once in `file` (a path from the project's root); `tests` are pytest's node ids, `long` if with --long."""

    name: str
    promise: int
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    long: bool = False

    def applied_to(self, text: str) -> str:
        """Return the text with the protection taken out. Raises ValueError where the patch no longer fits."""
        if text.count(self.old) != 1:
            message = f"patch {self.name}: its old text stands {text.count(self.old)} times in {self.file}, not once"
            raise ValueError(message)
        return text.replace(self.old, self.new)
