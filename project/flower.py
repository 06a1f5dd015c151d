"""`python -m project.flower`: Flower, the Celery dashboard, which never starts without credentials.

Pass Flower's own options on the command line or in FLOWER_... variables. By design, its
/healthcheck and /metrics need no credentials: do not expose its port to the internet.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLE = "FLOWER_BASIC_AUTH=name:password"


def refusal(environment: dict[str, str]) -> str:
    """Return why Flower must not start with this environment, or an empty string if it may."""
    if environment.get("FLOWER_UNAUTHENTICATED_API", "").lower() not in {"", "0", "false", "no", "off"}:
        return "FLOWER_UNAUTHENTICATED_API opens Flower's API to everyone: unset it."
    if environment.get("FLOWER_AUTH", "").strip():
        return ""
    pairs = environment.get("FLOWER_BASIC_AUTH", "").split(",")
    # An empty pair in the list would accept empty credentials.
    if not all(name.strip() and password.strip() for name, _, password in (pair.partition(":") for pair in pairs)):
        return f"Flower shows every Celery task and can stop workers, so it needs credentials: set {EXAMPLE}."
    return ""


def main(arguments: list[str]) -> None:
    """Replace this process by `celery -A project flower`, or exit with code 2 and the reason."""
    why = refusal(dict(os.environ))
    if why:
        sys.stderr.write(f"{why}\n")
        sys.exit(2)
    celery = Path(sys.executable).with_name("celery")
    os.execv(celery, [str(celery), "-A", "project", "flower", *arguments])  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
