"""axe-core, which checks a page against the rules of accessibility that a program can check."""

from __future__ import annotations

from pathlib import Path

from project.local.frontend import install_frontend

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parents[1] / ".local" / "axe"


def installed_axe() -> Path:
    """Install axe-core unless that was done, and return the path of its script."""
    messages: list[str] = []
    assert install_frontend(report=messages.append, source_dir=_HERE / "axe", target_dir=_INSTALLED), messages
    return _INSTALLED / "node_modules" / "axe-core" / "axe.min.js"
