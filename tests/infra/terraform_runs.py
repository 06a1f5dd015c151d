"""Running Terraform on a copy of scripts/infra, so that it writes nothing into the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

INFRA = Path(__file__).parents[2] / "scripts" / "infra"

_LIMIT_S = 300
_NO_PROVIDER = ("Failed to query available provider packages", "Failed to install provider")


def infra_text() -> str:
    """Return the concatenated text of all Terraform files."""
    return "\n".join(path.read_text() for path in sorted(INFRA.glob("*.tf")))


class Terraform:
    """Terraform in a separate folder, with this machine's AWS provider. Skips the test if there is none."""

    def __init__(self, folder: Path, *, variables: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        program = shutil.which("terraform")
        if program is None:
            pytest.skip("terraform is not on PATH")
        self._program = program
        self._folder = folder
        self._environment = {
            **os.environ,
            **environment,
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for path in (*INFRA.glob("*.tf"), *INFRA.glob("*.tftpl")):
            shutil.copy(path, folder)
        (folder / "test.auto.tfvars.json").write_text(json.dumps(dict(variables)))
        began = self._run("init", "-input=false")
        if any(words in began.stderr for words in _NO_PROVIDER):
            pytest.skip("terraform finds no AWS provider on this machine: configure a mirror in its CLI configuration")
        assert began.returncode == 0, began.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a subcommand, and accept any exit code."""
        return self._run(*arguments)

    def run_checked(self, *arguments: str) -> str:
        """Run a subcommand that must succeed, and return its output."""
        ran = self._run(*arguments)
        assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
        return ran.stdout

    def outputs(self) -> dict[str, Any]:
        """Return the values of all outputs."""
        return {name: each["value"] for name, each in json.loads(self.run_checked("output", "-json")).items()}

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, arguments[0], "-no-color", *arguments[1:]],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
