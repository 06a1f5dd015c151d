"""How to run a module of this package on its own, and which files any child needs to start."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
SEARCHED = _FOLDER.parent
"""Where `module_command` finds this package; a confined child must be allowed to list it."""

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/nix/store")
"""Where programs, the loader and shared libraries are. Nothing there is secret."""


def module_command(name: str) -> list[str]:
    """Return the command that runs `main` of a module of this package, without site-packages.

    This folder becomes a package of its own: importing it through its parents would import the
    whole engine. No bytecode is written: a child whose file sizes are limited would leave an
    incomplete file, which Python 3.11 then fails to import in every later process
    (github.com/python/cpython, issue 126606).
    """
    start = f"import sys; sys.path.append({str(SEARCHED)!r}); from {_FOLDER.name}.{name} import main; main()"
    return [sys.executable, "-I", "-S", "-B", "-c", start]


@functools.cache
def program_paths(program: str) -> tuple[str, ...]:
    """Return the files and folders that a program reads to start: itself, its libraries, Python's.

    Libraries are searched for in the system's folders, and next to a program whose folder is `bin`.
    """
    real = Path(program).resolve()
    own = [real.parent.parent / "lib", real.parent.parent / "lib64"] if real.parent.name == "bin" else []
    found = [sys.prefix, sys.base_prefix, program, *map(str, (real, *own, _FOLDER))]
    return tuple(dict.fromkeys((*_SYSTEM, *found)))
