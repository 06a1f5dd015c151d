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
    """The commands of a line, as argument lists without the variables that `env` sets in front."""
    lists = [shlex.split(part) for part in line.split("&&")]
    return [[word for word in words if word != "env" and not re.match(r"[A-Z_]+=", word)] for words in lists]


def test_every_process_of_the_project_has_its_line() -> None:
    assert set(PROCESSES) == {"release", "web", "worker", "beat", "flower"}


@pytest.mark.parametrize("name", PROCESSES)
def test_every_command_of_a_line_exists(name: str) -> None:
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


@pytest.mark.parametrize("name", ["web", "worker", "beat", "flower"])
def test_line_is_a_command_without_a_shell_when_a_container_gets_its_words(name: str) -> None:
    # As the words are given to the image: a variable in front would be taken for the program.
    assert not re.search(r"[;&|<>$]", PROCESSES[name])
    assert "=" not in shlex.split(PROCESSES[name])[0]


def test_worker_line_takes_every_queue() -> None:
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
def test_dashboard_may_start_when_there_are_credentials(environment: dict[str, str]) -> None:
    assert refusal(environment) == ""
