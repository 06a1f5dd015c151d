"""`python -m project.flower`: Celery's dashboard, which never starts without credentials.

Flower's own options follow on the command line or in FLOWER_... variables. Its /healthcheck and /metrics answer without
credentials by design: keep its port off the internet.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLE = "FLOWER_BASIC_AUTH=name:password"


def refusal(environment: dict[str, str]) -> str:
    """Why Flower must not start with this environment, in a sentence; empty where it may."""
    if environment.get("FLOWER_UNAUTHENTICATED_API", "").lower() not in {"", "0", "false", "no", "off"}:
        return "FLOWER_UNAUTHENTICATED_API opens Flower's API to everyone: remove it."
    if environment.get("FLOWER_AUTH", "").strip():
        return ""
    pairs = environment.get("FLOWER_BASIC_AUTH", "").split(",")
    # An empty pair in the list would let empty credentials in.
    if not all(name.strip() and password.strip() for name, _, password in (pair.partition(":") for pair in pairs)):
        return f"Flower shows every Celery task and can stop workers, so it needs credentials: set {EXAMPLE}."
    return ""


def main(arguments: list[str]) -> None:
    """Become `celery -A project flower`, or end with exit code 2 and a sentence."""
    why = refusal(dict(os.environ))
    if why:
        sys.stderr.write(f"{why}\n")
        sys.exit(2)
    celery = Path(sys.executable).with_name("celery")
    os.execv(celery, [str(celery), "-A", "project", "flower", *arguments])  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
