"""Which walls around a child hold on this machine, found out by trying.

They depend on the kernel, on the container runtime and on the user, so the container tries them at
its start and logs the result.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import EncodeError
from . import landlock
from .command import SEARCHED, module_command
from .limits import ChildLimits
from .process import run_child

METADATA = ("169.254.169.254", 80)
"""The instance metadata service of EC2, which hands out the credentials of the machine's role."""

_LIMITS = ChildLimits(memory_bytes=512 * 1024 * 1024, cpu_s=10, file_bytes=1024, idle_s=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What a child got that tried everything; all zero if the walls hold."""

    environment_bytes: int
    """Of the environments of all other processes, of which a container's has its credentials."""
    sockets: int
    """Kinds of sockets that it opened."""
    metadata: bool
    """It reached the instance metadata service."""
    foreign_bytes: int
    """Of a file that is not part of its work."""
    foreign_writes: bool
    """It wrote a file outside its output folder."""

    @property
    def breaches(self) -> tuple[str, ...]:
        """The walls that do not hold: `environment`, `network`, `metadata`, `files`."""
        found = {
            "environment": self.environment_bytes > 0,
            "network": self.sockets > 0,
            "metadata": self.metadata,
            "files": self.foreign_bytes > 0 or self.foreign_writes,
        }
        return tuple(name for name, breached in found.items() if breached)


def try_walls(*, metadata: tuple[str, int] = METADATA) -> Walls:
    """Start a child as ffmpeg is started, let it try each wall, and return what it got.

    Takes a tenth of a second, or a second more if sockets can be opened. Raises EncodeError if the
    child fails.
    """
    printed = bytearray()
    with tempfile.TemporaryDirectory(prefix="batchreel-walls-") as folder:
        secret = Path(folder) / "secret"
        secret.write_bytes(b"secret")
        end = run_child(
            [*module_command("breakout"), metadata[0], str(metadata[1]), str(secret), folder],
            limits=_LIMITS,
            on_output=printed.extend,
            paths={"list": [SEARCHED]},
        )
    if end.returncode != 0:
        raise EncodeError(code="WALLS_UNTRIED", message=f"The child that tries the walls failed ({end.stderr[-300:]}).")
    return Walls(**json.loads(printed))


def landlock_abi() -> int:
    """Return the version of Landlock that this kernel has, or 0."""
    return landlock.abi(ctypes.CDLL(None)) if sys.platform == "linux" else 0
