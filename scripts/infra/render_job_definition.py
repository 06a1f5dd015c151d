"""Generator for job_definition.json.tftpl: the code's job definition with placeholders for Terraform.

Run it after a change of tasks/batch/definition.py: `python -m scripts.infra.render_job_definition`,
or as a file from the project's root.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.batch.definition import render
from tasks.conf import BridgeSettings

TEMPLATE = Path(__file__).with_name("job_definition.json.tftpl")

_FILLED_BY_TERRAFORM: dict[str, Any] = {
    name: f"${{{name}}}"
    for name in (
        "job_definition",
        "image",
        "job_role_arn",
        "execution_role_arn",
        "log_group",
        "vcpus",
        "memory_mib",
        "attempt_timeout_s",
    )
} | {"job_name_prefix": "${name}", "container_settings_module": "project.settings"}


def template() -> str:
    """Return the text of the template."""
    definition = render(BridgeSettings(**_FILLED_BY_TERRAFORM), region="${region}")
    return json.dumps(definition, indent=2) + "\n"


if __name__ == "__main__":
    TEMPLATE.write_text(template())
