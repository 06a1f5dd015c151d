"""How long a call to the storage may take: briefly on the site, for minutes in a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.storage.timeouts import CONTAINER_TIMEOUTS, SITE_TIMEOUTS, Timeouts

ROOT = Path(__file__).parents[2]
PRINT_LIMITS = """
import json
from project.settings import STORAGES
config = STORAGES["default"]["OPTIONS"]["client_config"]
print(json.dumps([config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]]))
"""


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, SITE_TIMEOUTS), ({"AWS_BATCH_JOB_ID": "1"}, CONTAINER_TIMEOUTS)]
)
def test_storage_calls_end_in_time_when_a_thread_or_an_attempt_waits(
    variables: dict[str, str], expected: Timeouts
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AWS_BATCH_JOB_ID"}
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_LIMITS],
        env={**environment, "STORAGE_BUCKET": "lectures", **variables},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert json.loads(printed.stdout) == [expected.connect_s, expected.read_s, expected.tries]


def test_site_waits_a_few_seconds_when_the_storage_does_not_respond() -> None:
    # Eight threads that wait for minutes are an outage of all pages.
    assert SITE_TIMEOUTS.tries * (SITE_TIMEOUTS.connect_s + SITE_TIMEOUTS.read_s) <= 15
    assert CONTAINER_TIMEOUTS.read_s > SITE_TIMEOUTS.read_s
