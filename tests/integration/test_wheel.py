"""The wheel in a site of its own: the example docs/examples/school, where the repository cannot be imported.

The site has the core of the package only, its containers have the extra `worker`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

from tasks.batch.definition import PARAMETERS
from tasks.lifecycle.exit_codes import ExitCode
from tests.integration.celery_nodes import QUEUES, NodeProcess
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.installed_wheel import ROOT, Installation, build_wheel
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_batch import BatchClient

    from tests.contract.jobs import Jobs

SCHOOL = ROOT / "docs" / "examples" / "school"
PLAYER = {
    "static/batchreel/hls.js/hls.min.js",
    "static/batchreel/hls.js/hls.min.js.map",
    "static/batchreel/hls.js/LICENSE",
}
DATABASE = "school"
HOSTS_OWN = ["django-environ"]
"""What the example's requirements.txt has next to batchreel."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an environment as `pip install batchreel django-environ` makes it."""
    return Installation(wheel, tmp_path_factory.mktemp("core"), others=HOSTS_OWN)


@pytest.fixture(scope="session")
def worker(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return an environment as `pip install 'batchreel[worker]' django-environ` makes it."""
    return Installation(wheel, tmp_path_factory.mktemp("worker"), extras=["worker"], others=HOSTS_OWN)


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


@pytest.fixture(scope="session")
def school(core: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Yield the example with a migrated database next to that of the test run."""
    folder = tmp_path_factory.mktemp("sites") / "school"
    shutil.copytree(SCHOOL, folder)
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")  # of a run that was killed
        server.execute(f"CREATE DATABASE {DATABASE}")
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if name.startswith("AWS_") or name in {"REDIS_URL", "HOME"}
        },
        "PATH": os.defpath,
        "DATABASE_URL": _other_database(url),
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "ALLOWED_HOSTS": "testserver",
        "VIDEO_BATCH_JOB_QUEUE": "school",
        "VIDEO_BATCH_JOB_DEFINITION": "school",
        "BATCHREEL": json.dumps(FAST_SETTINGS),
    }
    site = School(folder, core, environment)
    site.manage("migrate", "--verbosity", "0")
    yield site
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _other_database(url: str) -> str:
    head, _, options = url.partition("?")
    return f"{head.rpartition('/')[0]}/{DATABASE}" + (f"?{options}" if options else "")


def tracked() -> set[str]:
    """Return the files of the app that git tracks, with their paths in the package."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "tasks"],  # noqa: S607 - git of this machine
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.removeprefix("tasks/") for name in listed.stdout.splitlines()} - {
        "frontend/package.json",
        "frontend/package-lock.json",
    }


def test_wheel_contains_every_file_of_the_app_and_nothing_else_when_it_is_built(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"batchreel/{name}" for name in tracked() | PLAYER}


def test_source_distribution_contains_the_same_when_pip_builds_from_it(wheel: Path) -> None:
    (archive_path,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive_path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"tasks/{name}" for name in tracked() | PLAYER} | {"setup.py", "pyproject.toml", "README.md"} <= names
    assert not [name for name in names if name.startswith(("project", "tests"))]


def test_build_is_refused_when_the_player_was_not_installed(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks", ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", str(tmp_path)]
    ran = subprocess.run(build, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode != 0
    assert "build the wheel with scripts/build" in ran.stdout + ran.stderr


def test_site_has_no_errors_or_missing_migrations_when_only_the_core_is_installed(school: School) -> None:
    assert not [
        name
        for name in ("av", "imageio_ffmpeg", "prometheus_client", "csp", "rest_framework")
        if (school.core.packages / name).exists()
    ]
    assert "no issues" in school.manage("check", "--fail-level", "WARNING")
    assert "No changes detected" in school.manage("makemigrations", "--check", "--dry-run")
    version = school.python("import batchreel; print(f'\"{batchreel.__version__}\"')")
    assert school.core.packages.joinpath(f"batchreel-{version}.dist-info").is_dir()


def test_hosts_own_tasks_and_project_are_imported_when_the_package_is_installed(school: School) -> None:
    found = school.python(
        "import json, tasks.reports, project.settings, batchreel.tasks\n"
        "from django.apps import apps\n"
        "print(json.dumps([tasks.__file__, project.__file__, batchreel.__file__, apps.get_app_config('batchreel').name]))"
    )
    assert found == [
        str(school.folder / "tasks" / "__init__.py"),
        str(school.folder / "project" / "__init__.py"),
        str(school.core.packages / "batchreel" / "__init__.py"),
        "batchreel",
    ]


def test_every_static_file_and_template_is_found_when_the_site_collects_them(school: School, tmp_path: Path) -> None:
    school.manage("collectstatic", "--noinput", "--verbosity", "0", STATIC_ROOT=str(tmp_path))
    collected = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    files = tracked() | PLAYER
    static = {name.removeprefix("static/") for name in files if name.startswith("static/")}
    assert len(static) >= 10
    assert not static - collected
    templates = sorted(name.removeprefix("templates/") for name in files if name.startswith("templates/"))
    missing = school.python(
        "import json\nfrom django.template.loader import select_template\n"
        f"names = {templates!r}\n"
        "print(json.dumps([select_template([name]).origin.name for name in names]))"
    )
    assert missing == [str(school.core.packages / "batchreel" / "templates" / name) for name in templates]


@pytest.mark.parametrize("program", ["transcode", "container"])
def test_programs_print_their_usage_when_they_run_as_modules(
    program: str, worker: Installation, tmp_path: Path
) -> None:
    ran = worker.run("-m", f"batchreel.{program}", "--help", cwd=tmp_path, environment={"PATH": os.defpath})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"usage: python -m batchreel.{program} ")
    assert "tasks" not in ran.stdout


def test_video_is_transcoded_by_the_command_when_the_extra_worker_is_installed(
    worker: Installation, short_clip: Path, tmp_path: Path
) -> None:
    command = ["-m", "batchreel.transcode", str(short_clip), str(tmp_path / "out"), "--profile", "fast"]
    ran = worker.run(*command, cwd=tmp_path, environment={"PATH": os.defpath})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "out" / "master.m3u8").is_file()


def test_command_names_the_extra_when_the_media_packages_are_missing(
    core: Installation, short_clip: Path, tmp_path: Path
) -> None:
    command = ["-m", "batchreel.transcode", str(short_clip), str(tmp_path / "out")]
    ran = core.run(*command, cwd=tmp_path, environment={"PATH": os.defpath})
    assert ran.returncode == 1
    assert "`pip install 'batchreel[worker]'`. [EXTRA_MISSING]" in ran.stdout + ran.stderr


def test_container_claims_nothing_when_the_media_packages_are_missing(school: School) -> None:
    job = "6f7d7f0e-3d5c-4b46-9f0e-2f6f3c1f4a11"
    module = {"DJANGO_SETTINGS_MODULE": "project.settings"}
    ran = school.core.run(
        "-m", "batchreel.container", job, "1", cwd=school.folder, environment=school.environment | module
    )
    assert ran.returncode == ExitCode.MISCONFIGURED, ran.stdout + ran.stderr
    line = json.loads(ran.stderr)
    assert (line["event"], line["exit_code"]) == ("BATCH_JOB_FAILED", ExitCode.MISCONFIGURED)
    assert line["text"].startswith(
        "EXTRA_MISSING: av is not installed on this machine: `pip install 'batchreel[worker]'`."
    )


def test_doctor_asks_for_no_encoder_when_only_a_site_is_installed(school: School) -> None:
    code = (
        "import json\nfrom batchreel.doctor.probes.media import check_ffmpeg, check_ffmpeg_if_installed, check_player\n"
        "findings = [*check_ffmpeg_if_installed(), *check_player(), *check_ffmpeg()]\n"
        "print(json.dumps([[each.status, each.why] for each in findings]))"
    )
    on_site, player, in_container = school.python(code)
    assert on_site == ["ok", "Not installed on this machine: only containers need it."]
    assert player == ["ok", "hls.js is installed."]
    assert in_container[0] == "failed"
    assert "batchreel[worker]" in in_container[1]


def test_metrics_page_names_the_extra_when_prometheus_is_missing(school: School) -> None:
    code = (
        "import json\nfrom django.conf import settings\nfrom django.core.checks import run_checks\n"
        "from django.test import Client\n"
        "settings.METRICS_TOKEN = 'x' * 20\n"
        "response = Client().get('/videos/metrics', headers={'Authorization': 'Bearer ' + 'x' * 20})\n"
        "print(json.dumps([response.status_code, response.content.decode(), [each.id for each in run_checks()]]))"
    )
    status, text, checks = school.python(code)
    assert (status, "batchreel[metrics]" in text) == (503, True)
    assert checks == ["batchreel.W056"]


def test_api_names_the_extra_when_its_packages_are_missing(school: School) -> None:
    code = (
        "import json\nfrom django.core.exceptions import ImproperlyConfigured\n"
        "try:\n    import batchreel.api.urls\nexcept ImproperlyConfigured as error:\n    print(json.dumps(str(error)))"
    )
    assert school.python(code) == ("The API needs rest_framework and drf_spectacular: `pip install 'batchreel[api]'`.")


def test_api_answers_in_a_site_when_only_its_extra_is_installed(
    wheel: Path, school: School, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("with_api")
    with_api = school._replace(core=Installation(wheel, folder, extras=["api"], others=HOSTS_OWN))
    code = (
        "import json, sys, types\nfrom django.conf import settings\nfrom django.test import Client\n"
        "from django.urls import include, path\n"
        "sys.modules['api_urls'] = urls = types.ModuleType('api_urls')\n"
        "urls.urlpatterns = [path('api/', include('batchreel.api.urls'))]\n"
        "settings.ROOT_URLCONF = 'api_urls'\n"
        "found = [Client().get(f'/api/{name}') for name in ('videos/', 'nothing/', 'openapi.yaml')]\n"
        "print(json.dumps([[each.status_code, each.headers['Content-Type']] for each in found]))"
    )
    problem = "application/problem+json"
    assert with_api.python(code) == [
        [403, problem],
        [404, problem],
        [200, "application/vnd.oai.openapi; charset=utf-8"],
    ]


class SchoolWorker(NodeProcess):
    """The school's Celery worker for Batchreel, run by the installation's Python in the site's folder."""

    def __init__(self, school: School, environment: Mapping[str, str], log_path: Path) -> None:
        self._school = school
        options = [
            "worker",
            "-Q",
            QUEUES,
            "--concurrency",
            "1",
            "--loglevel",
            "INFO",
            "--without-mingle",
            "--without-gossip",
        ]
        super().__init__(
            name="school", arguments=options, environment=environment, log_path=log_path, ready_line=" ready."
        )

    def _command_for(self, arguments: list[str]) -> list[str]:
        python = str(self._school.core.python)
        return [
            "env",
            "-C",
            str(self._school.folder),
            python,
            "-m",
            "celery",
            "-A",
            "project",
            *arguments,
        ]


UPLOAD = """
import json
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from courses.models import Course, Lesson
from people.models import User

teacher = User.objects.create_user("teacher")
course = Course.objects.create(title="Algebra", teacher=teacher)
client = Client()
client.force_login(teacher)
with open({clip!r}, "rb") as file:
    response = client.post(f"/courses/{{course.pk}}/lessons/", {{"title": "Lecture 1", "file": file}})
lesson = Lesson.objects.get()
job = lesson.video.jobs.get()
print(json.dumps([response.status_code, str(course.pk), str(teacher.pk), str(job.pk), job.state]))
"""
WATCH = """
import json
from django.test import Client
from batchreel.models import Job
from courses.models import Lesson
from people.models import User

lesson = Lesson.objects.get()
client = Client()
client.force_login(User.objects.get())
page = client.get(f"/videos/videos/{lesson.video_id}/")
course = client.get(f"/courses/{lesson.course_id}/")
playlist = client.get("/videos/media/" + lesson.video.published_job.playlist_key)
text = b"".join(playlist).decode()
print(json.dumps([page.status_code, b"hls.min" in page.content, "Lecture 1" in course.content.decode(), playlist.status_code, text]))
"""


@pytest.fixture
def site(school: School, dedicated_queue: Jobs, tmp_path: Path) -> School:
    """Return the school with a queue, a definition, folders and a Redis database that only this test uses."""
    own = {
        "VIDEO_BATCH_JOB_QUEUE": dedicated_queue.queue,
        "VIDEO_BATCH_JOB_DEFINITION": f"school-{uuid.uuid4().hex[:8]}",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "STATIC_ROOT": str(tmp_path / "static"),
        "REDIS_URL": f"{school.environment['REDIS_URL'].rpartition('/')[0]}/7",
    }
    return school._replace(environment=school.environment | own)


def test_uploaded_lesson_can_be_watched_when_the_site_runs_the_installed_package(
    site: School, worker: Installation, short_clip: Path, batch_client: BatchClient, tmp_path: Path
) -> None:
    site.manage("collectstatic", "--noinput", "--verbosity", "0")
    site.manage("register_job_definition")
    run_containers_from(worker, site, batch_client)
    node = SchoolWorker(site, site.environment, tmp_path / "worker.log")
    try:
        node.ready()
        status, _course, _teacher, job, state = site.python(UPLOAD.format(clip=str(short_clip)))
        assert (status, state) == (302, "QUEUED")
        with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as database:
            query = "SELECT state, reason FROM batchreel_job WHERE id = %s AND state IN ('SUCCEEDED', 'FAILED', 'DEAD')"
            row = wait_for(
                lambda: database.execute(query, [job]).fetchone(),
                limit_s=120,
                what=f"the end of the job\n{node.logs()}",
            )
        assert row == ("SUCCEEDED", ""), node.logs()
    finally:
        node.teardown()
    page, has_player, is_in_course, playlist, text = site.python(WATCH)
    assert (page, has_player, is_in_course, playlist) == (200, True, True, 200)
    assert text.startswith("#EXTM3U")


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
