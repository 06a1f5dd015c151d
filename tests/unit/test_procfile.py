"""Every line of the Procfile names programs, modules, commands and queues that exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from honcho.environ import parse_procfile

from project.flower import refusal

PROCESSES = parse_procfile((Path(settings.BASE_DIR) / "Procfile").read_text()).processes


def commands(line: str) -> list[list[str]]:
    """Return the commands of a line as argument lists, without leading `env` variables."""
    lists = [shlex.split(part) for part in line.split("&&")]
    return [[word for word in words if word != "env" and not re.match(r"[A-Z_]+=", word)] for words in lists]


def test_procfile_has_a_line_for_every_process_when_one_is_added() -> None:
    assert set(PROCESSES) == {"release", "web", "worker", "beat", "listen", "flower"}


@pytest.mark.parametrize("name", PROCESSES)
def test_procfile_commands_exist_when_code_moves(name: str) -> None:
    for program, *rest in commands(PROCESSES[name]):
        assert shutil.which(program, path=str(Path(sys.executable).parent)), program
        match program, rest:
            case "python", ["manage.py", command, *_]:
                assert command in get_commands()
            case "python", ["-m", module, *_]:
                assert importlib.util.find_spec(module)
            case "celery", ["-A", module, command, *_]:
                assert importlib.util.find_spec(module)
                assert command in {"worker", "beat"}
            case "gunicorn", [module, *_]:
                assert f"{module}.application" == settings.WSGI_APPLICATION
                assert importlib.util.find_spec(module)
            case _:
                pytest.fail(f"an unknown program: {program} {rest}")


@pytest.mark.parametrize("name", ["web", "worker", "beat", "listen", "flower"])
def test_procfile_line_needs_no_shell_when_a_container_runs_it(name: str) -> None:
    # A container gets the words of the line: a leading variable would be taken for the program.
    assert not re.search(r"[;&|<>$]", PROCESSES[name])
    assert "=" not in shlex.split(PROCESSES[name])[0]


def test_procfile_worker_serves_every_queue_when_one_is_added() -> None:
    (words,) = commands(PROCESSES["worker"])
    assert set(words[words.index("-Q") + 1].split(",")) == set(settings.CELERY_TASK_QUEUES)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"FLOWER_BASIC_AUTH": ""},
        {"FLOWER_BASIC_AUTH": "name"},
        {"FLOWER_BASIC_AUTH": "name:"},
        {"FLOWER_BASIC_AUTH": ":password"},
        {"FLOWER_BASIC_AUTH": "name:password,"},
        {"FLOWER_BASIC_AUTH": "name:password", "FLOWER_UNAUTHENTICATED_API": "true"},
    ],
)
def test_dashboard_refuses_to_start_when_credentials_are_missing(environment: dict[str, str]) -> None:
    assert refusal(environment)


@pytest.mark.parametrize("environment", [{"FLOWER_BASIC_AUTH": "a:b,c:d"}, {"FLOWER_AUTH": ".*@example.org"}])
def test_dashboard_starts_when_there_are_credentials(environment: dict[str, str]) -> None:
    assert refusal(environment) == ""
