"""`python -m tasks.doctor`: the findings of a container's own checks as one line of JSON.

Exit code 1 if any check fails.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from ..transcode.sandbox.privacy import hide_process


def main() -> int:
    """Run the checks, write the findings to stdout, and return the exit code."""
    # As the container program does: the probe of the sandbox tries to read this process's environment.
    hide_process()
    os.environ.setdefault("LOG_FORMAT", "json")
    import django  # noqa: PLC0415 - needs DJANGO_SETTINGS_MODULE

    django.setup()
    from .addresses import container  # noqa: PLC0415 - needs Django set up
    from .probes.container import check_from_container  # noqa: PLC0415 - likewise
    from .runner import Probe, run_probes  # noqa: PLC0415 - likewise

    findings = run_probes([Probe("container", check_from_container, container)], deadline_s=60)
    sys.stdout.write(json.dumps({"event": "DOCTOR", "findings": [asdict(each) for each in findings]}) + "\n")
    sys.stdout.flush()
    return int(any(finding.fails for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
