"""The example site docs/examples/school in a folder and a database of its own, and its programs."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

from project.local.servers.ports import free_port
from project.local.servers.server import Service
from tasks.batch.definition import PARAMETERS
from tests.integration.celery_nodes import QUEUES, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_batch import BatchClient

    from tests.integration.installed_wheel import Installation


class School(NamedTuple):
    """The example site in a folder of its own, with its own database."""

    folder: Path
    core: Installation
    environment: dict[str, str]

    def manage(self, *arguments: str, **environment: str) -> str:
        """Run manage.py, which must succeed, and return what it prints."""
        ran = self.core.run("manage.py", *arguments, cwd=self.folder, environment={**self.environment, **environment})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def python(self, code: str) -> Any:
        """Run code in the site, and return what it prints, as JSON."""
        return json.loads(self.manage("shell", "--no-imports", "--command", code).strip().splitlines()[-1])


class SchoolWorker(NodeProcess):
    """The school's Celery worker for Batchreel, run by the installation's Python in the site's folder."""

    def __init__(self, school: School, environment: Mapping[str, str], log_path: Path) -> None:
        self._school = school
        # With beat in the same process, and its file out of the site's folder.
        beat = ["--beat", "--schedule", str(log_path.with_name("celerybeat-schedule"))]
        options = ["worker", *("-Q", QUEUES), *("--concurrency", "1"), *("--loglevel", "INFO"), *beat]
        options += ["--without-mingle", "--without-gossip"]
        super().__init__(
            name="school", arguments=options, environment=environment, log_path=log_path, ready_line=" ready."
        )

    def _command_for(self, arguments: list[str]) -> list[str]:
        python = str(self._school.core.python)
        return ["env", "-C", str(self._school.folder), python, "-m", "celery", "-A", "project", *arguments]


def run_containers_from(worker: Installation, site: School, batch: BatchClient) -> None:
    """Register the site's own definition again, with the environment that an image and its secrets would bring."""
    name = site.environment["VIDEO_BATCH_JOB_DEFINITION"]
    (definition,) = batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    container: Any = definition["containerProperties"]
    assert container["command"] == ["python", "-m", "batchreel.container", *PARAMETERS]
    assert {"name": "DJANGO_SETTINGS_MODULE", "value": "project.settings"} in container["environment"]
    added = {
        "PATH": f"{worker.python.parent}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(site.folder),
        "PYTHONSAFEPATH": "1",
        **{name: site.environment[name] for name in ("DATABASE_URL", "MEDIA_ROOT", "BATCHREEL")},
    }
    container["environment"] += [{"name": name, "value": value} for name, value in added.items()]
    batch.register_job_definition(
        jobDefinitionName=name,
        type="container",
        parameters={"job_id": "", "attempt": ""},
        containerProperties=container,
    )


@contextmanager
def web_server(site: School, log_path: Path) -> Iterator[str]:
    """Run Django's development server for the site, and yield its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    web = Service(
        name="runserver",
        command=[str(site.core.python), "manage.py", "runserver", "--noreload", url.removeprefix("http://")],
        environment={**site.environment, "DEBUG": "on"},
        folder=site.folder,
        log_path=log_path,
    )
    try:
        web.wait_until(lambda: urlopen(f"{url}/login/"), deadline_s=60)  # noqa: S310 - our own URL
        yield url
    finally:
        web.stop()
