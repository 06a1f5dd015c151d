"""The wheel in a site of its own: the example docs/examples/school, where the repository cannot be imported.

The site has the core of the package only, its containers have the extra `worker`.
"""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import uuid
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from playwright.sync_api import sync_playwright
from standardwebhooks.webhooks import Webhook

from tasks.lifecycle.exit_codes import ExitCode
from tests.browser.conftest import FLAGS
from tests.contract.jobs import Jobs
from tests.integration.fast_settings import FAST_SETTINGS
from tests.integration.installed_wheel import HOSTS_OWN, ROOT, Installation
from tests.integration.school_site import School, SchoolWorker, run_containers_from, web_server
from tests.polling import wait_for
from tests.webhook_receivers import allowing_loopback, answers, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_batch import BatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

SCHOOL = ROOT / "docs" / "examples" / "school"
PLAYER = {
    "static/batchreel/vendor/LICENSE.hls.js.txt",
    "static/batchreel/vendor/LICENSE.media-chrome.txt",
    "static/batchreel/vendor/controls.js",
    "static/batchreel/vendor/hls.js",
}
DATABASE = "school"

pytestmark = pytest.mark.timeout(400)


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
        "ALLOWED_HOSTS": "testserver,127.0.0.1",
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
    names = {name.removeprefix("tasks/") for name in listed.stdout.splitlines()}
    return {name for name in names if not name.startswith("frontend/")}


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


def test_links_of_the_readme_are_absolute_when_the_repository_is_named(wheel: Path, tmp_path: Path) -> None:
    (source_archive,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(source_archive) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(folder)]
    url = "https://example.org/batchreel"
    subprocess.run(build, env={**os.environ, "REPOSITORY_URL": url}, capture_output=True, timeout=120, check=True)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    text = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)]+)\)", text)
    version = metadata["Version"]
    assert f"{url}/blob/v{version}/docs/quickstart.md" in targets
    assert f"{url}/raw/v{version}/docs/images/video-page.webp" in targets
    assert not [target for target in targets if not target.startswith("https://")]
    assert "REPOSITORY_URL" not in text


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
        "response = Client().get('/lectures/metrics', headers={'Authorization': 'Bearer ' + 'x' * 20})\n"
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


@pytest.mark.long
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


SETUP = """
import json
from batchreel.services.delivery.endpoints import add_endpoint, signing_secrets
from courses.models import Course, Enrolment
from people.models import User

people = {{name: User.objects.create_user(name, password="password") for name in ("teacher", "enrolled", "other")}}
course = Course.objects.create(title="Algebra", teacher=people["teacher"])
Enrolment.objects.create(course=course, student=people["enrolled"])
endpoint = add_endpoint({{"url": {url!r}, "kinds": ["video.published"]}})
print(json.dumps([str(course.pk), signing_secrets(endpoint)[0]]))
"""
UPLOAD = """
import json
from django.test import Client
from courses.models import Lesson
from people.models import User

client = Client()
client.force_login(User.objects.get(username="teacher"))
with open({clip!r}, "rb") as file:
    response = client.post("/courses/{course}/lessons/", {{"title": "Lecture 1", "file": file}})
lesson = Lesson.objects.get()
job = lesson.video.jobs.get()
print(json.dumps([response.status_code, lesson.pk, str(lesson.video_id), str(job.pk), job.state]))
"""
WATCH = """
import json
from django.test import Client
from courses.models import Lesson
from people.models import User

lesson = Lesson.objects.get()
found = {{}}
for name in ("teacher", "enrolled", "other"):
    client = Client()
    client.force_login(User.objects.get(username=name))
    paths = [
        f"/lessons/{{lesson.pk}}/", f"/lectures/videos/{{lesson.video_id}}/",
        "/lectures/media/" + lesson.video.published_job.playlist_key,
    ]
    found[name] = [client.get(path).status_code for path in paths]
print(json.dumps(found))
"""


class Lesson(NamedTuple):
    """A lesson whose video was uploaded, transcoded and published by the installed package."""

    site: School
    pk: int
    video_id: str
    job: tuple[str, str]
    """State and reason of its job."""
    requests: list[tuple[dict[str, str], bytes]]
    """What the endpoint of the site's webhooks has received."""
    secret: str
    log: str


@pytest.fixture(scope="module")
def lesson(  # noqa: PLR0917 - pytest passes fixtures by name
    school: School,
    worker: Installation,
    batch_client: BatchClient,
    logs_client: CloudWatchLogsClient,
    short_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lesson]:
    """Upload a lecture to the site, which has a queue, a definition, folders and a Redis database of its own for it."""
    folder = tmp_path_factory.mktemp("lesson")
    jobs = Jobs(batch_client, logs_client)
    own = {
        "VIDEO_BATCH_JOB_QUEUE": jobs.queue,
        "VIDEO_BATCH_JOB_DEFINITION": f"school-{uuid.uuid4().hex[:8]}",
        "MEDIA_ROOT": str(folder / "media"),
        "STATIC_ROOT": str(folder / "static"),
        "REDIS_URL": f"{school.environment['REDIS_URL'].rpartition('/')[0]}/7",
        "BATCHREEL": json.dumps(FAST_SETTINGS | allowing_loopback(webhook_timeout_s=3)),
    }
    site = school._replace(environment=school.environment | own)
    site.manage("collectstatic", "--noinput", "--verbosity", "0")
    assert "no issues" in site.manage("check", "--fail-level", "WARNING")
    site.manage("register_job_definition")
    run_containers_from(worker, site, batch_client)
    with receiving(answers("204 No Content")) as receiver:
        course, secret = site.python(SETUP.format(url=receiver.url))
        node = SchoolWorker(site, site.environment, folder / "worker.log")
        try:
            node.ready()
            status, lesson_id, video_id, job, state = site.python(UPLOAD.format(clip=str(short_clip), course=course))
            assert (status, state) == (302, "QUEUED")
            with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as database:
                query = (
                    "SELECT state, reason FROM batchreel_job WHERE id = %s AND state IN ('SUCCEEDED', 'FAILED', 'DEAD')"
                )
                end = wait_for(
                    lambda: database.execute(query, [job]).fetchone(),
                    limit_s=120,
                    what=f"the end of the job\n{node.logs()}",
                )
            wait_for(lambda: receiver.requests, limit_s=60, what=f"the webhook\n{node.logs()}")
        finally:
            node.teardown()
            jobs.end()
        yield Lesson(site, lesson_id, video_id, end, receiver.requests, secret, node.logs())


def test_uploaded_lesson_is_open_to_its_course_only_when_the_site_runs_the_installed_package(lesson: Lesson) -> None:
    assert lesson.job == ("SUCCEEDED", ""), lesson.log
    assert lesson.site.python(WATCH.format()) == {
        "teacher": [200, 200, 200],
        "enrolled": [200, 200, 200],
        "other": [404, 404, 404],
    }


def test_endpoint_receives_the_published_video_when_the_site_has_a_webhook(lesson: Lesson) -> None:
    events = [Webhook(lesson.secret).verify(body, headers) for headers, body in lesson.requests]
    assert {event["id"] for event in events} == {events[0]["id"]}  # a slow response is requested again
    assert (events[0]["type"], events[0]["data"]["video_id"]) == ("video.published", lesson.video_id)


def test_enrolled_student_plays_the_lesson_and_no_other_student_when_they_open_its_page(
    lesson: Lesson, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    with web_server(lesson.site, tmp_path / "web.log") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        found = {}
        for name in ("enrolled", "other"):
            page = browser.new_context().new_page()
            page.goto(f"{url}/login/?next=/lessons/{lesson.pk}/")
            page.fill("[name=username]", name)
            page.fill("[name=password]", "password")
            with page.expect_response(lambda each: each.url == f"{url}/lessons/{lesson.pk}/") as response:
                page.click("[type=submit]")
            found[name] = response.value.status
            if name == "enrolled":
                page.wait_for_function("document.readyState === 'complete'")
                page.evaluate("window.player = document.querySelector('.batchreel-player video'); player.play()")
                page.wait_for_function("player.ended")
                assert page.evaluate("player.videoWidth") > 0
                assert page.evaluate("player.duration") == pytest.approx(4.0, abs=0.1)
        browser.close()
    assert found == {"enrolled": 200, "other": 404}
