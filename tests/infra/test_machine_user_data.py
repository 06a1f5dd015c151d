"""The user data of the machines: its form, and that it keeps containers from the instance metadata service."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.infra.terraform_runs import INFRA

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

CONTAINER_UID = 10001
METADATA = ("169.254.169.254", "fd00:ec2::254")
CREDENTIALS = "169.254.170.2"

NAMESPACE_PROGRAM = Path(__file__).with_name("namespace_program.py")


def user_data() -> str:
    """Return the user data as Terraform renders it: AWS Batch adds its own parts to these."""
    rendered = (INFRA / "machine_user_data.tftpl").read_text().replace("${container_uid}", str(CONTAINER_UID))
    assert "${" not in rendered
    return rendered


def scripts() -> dict[str, str]:
    """Return content type -> script of each part."""
    message: Message = email.message_from_string(user_data())
    assert message.get_content_type() == "multipart/mixed"
    assert not message.defects
    parts = message.get_payload()
    assert isinstance(parts, list)
    return {part.get_content_type(): part.get_payload() for part in parts}


def test_user_data_is_a_mime_archive_of_shell_scripts_when_aws_batch_merges_it(tmp_path: Path) -> None:
    assert user_data().isascii()
    assert scripts().keys() == {"text/cloud-boothook", "text/x-shellscript"}
    for number, script in enumerate(scripts().values()):
        assert script.startswith("#!/bin/sh\n")
        path = tmp_path / f"{number}.sh"
        path.write_text(script)
        checked = subprocess.run(["/bin/sh", "-n", path], capture_output=True, text=True, timeout=10, check=False)
        assert checked.returncode == 0, checked.stderr


def test_agent_removes_volumes_after_a_minute_when_a_container_was_killed(tmp_path: Path) -> None:
    config = tmp_path / "ecs.config"
    config.write_text("ECS_CLUSTER=batch\n")
    script = scripts()["text/x-shellscript"].replace("/etc/ecs/ecs.config", str(config))
    subprocess.run(["/bin/sh", "-c", script], timeout=10, check=True)
    assert config.read_text() == "ECS_CLUSTER=batch\nECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1m\n"


def test_rule_is_for_the_images_user_when_the_dockerfile_changes() -> None:
    dockerfile = (INFRA.parents[1] / "worker_image" / "Dockerfile").read_text()
    assert re.findall(r"--uid (\d+)", dockerfile) == [str(CONTAINER_UID)]
    assert f"container_uid  = {CONTAINER_UID} " in (INFRA / "batch.tf").read_text()


def test_metadata_is_rejected_once_when_a_machine_boots_again(tmp_path: Path) -> None:
    log = tmp_path / "commands"
    for name in ("iptables", "ip6tables"):
        # Like the real one: checking finds what was inserted before.
        (tmp_path / name).write_text(
            f"#!/bin/sh\nshift\naction=$1\nshift\n"
            f'[ $action = --insert ] && exec echo {name} "$@" >>{log}\n'
            f'grep -qsxF -- "{name} $*" {log}\n'
        )
        (tmp_path / name).chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", scripts()["text/cloud-boothook"]], env=environment, timeout=10, check=True)
    rule = f"--match owner --uid-owner {CONTAINER_UID} --jump REJECT"
    assert log.read_text().splitlines() == [
        f"iptables OUTPUT --destination {METADATA[0]} {rule}",
        f"ip6tables OUTPUT --destination {METADATA[1]} {rule}",
    ]


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("iptables", "ip6tables", "ip", "unshare"))),
    reason="needs root, iptables, iproute2 and unshare",
)
def test_container_cannot_reach_instance_metadata_when_it_uses_the_machines_network(
    record_property: Callable[[str, object], None],
) -> None:
    boothook = scripts()["text/cloud-boothook"]
    program = [sys.executable, str(NAMESPACE_PROGRAM), boothook, str(CONTAINER_UID), *METADATA, CREDENTIALS]
    namespace = [str(shutil.which("unshare")), "--net", *program]
    ran = subprocess.run(namespace, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    found = {name: values for name, *values in map(str.split, ran.stdout.splitlines())}
    record_property("faults", len(METADATA))
    assert found == {
        "before": ["1", "1", "1"],
        "container": ["0", "0", "1"],
        "root": ["1", "1", "1"],
        "rules": ["1", "1"],
    }
