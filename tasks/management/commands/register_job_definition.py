"""`manage.py register_job_definition`: register the code's job definition in AWS Batch.

Registers a new revision only if the definition differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...batch.control import DefinitionName, describe_definition, error_line, region, register_definition, suggested_fix
from ...batch.definition import render
from ...batch.definition_diff import Difference, differences
from ...batch.errors import BatchError
from ...conf import bridge_settings

if TYPE_CHECKING:
    from ...conf import BridgeSettings


class Command(BaseCommand):
    """Compare the definitions, show the differences, and register a new revision if there are any."""

    help = "Register the job definition that the code renders, unless AWS Batch already has the same one."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run."""
        parser.add_argument("--dry-run", action="store_true", help="Show the differences, register nothing.")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        """Register the definition.

        Raise CommandError with a one-line message for a missing setting or a failed AWS call.
        """
        conf = _settings()
        wanted = DefinitionName.parse(conf.job_definition)
        try:
            rendered = render(conf, region=region()) | {"jobDefinitionName": wanted.name}
            registered = describe_definition(wanted)
            if registered is not None:
                found = differences(registered=registered, rendered=rendered)
                if not found:
                    self.stdout.write(
                        f"{wanted.name}:{registered['revision']} matches what the code renders; nothing to do."
                    )
                    return
                self._show(found, revision=registered["revision"])
            else:
                pinned = f" revision {wanted.revision}" if wanted.revision else ""
                self.stdout.write(f"AWS Batch has no active job definition {wanted.name}{pinned}.")
            if dry_run:
                self.stdout.write("Nothing was registered (--dry-run).")
                return
            revision = register_definition(rendered)
        except BatchError as error:
            why = f"Nothing was registered. {error_line(error)}. {suggested_fix(error)}"
            raise CommandError(why) from error
        self.stdout.write(self.style.SUCCESS(f"Registered {wanted.name}:{revision}."))
        self.stdout.write(_next_step(wanted, revision=revision))

    def _show(self, found: list[Difference], *, revision: int) -> None:
        self.stdout.write(f"The code renders other values than revision {revision} (- registered, + rendered):")
        for each in found:
            self.stdout.write(f"  {each.path}")
            self.stdout.write(self.style.ERROR(f"    - {each.registered}"))
            self.stdout.write(self.style.SUCCESS(f"    + {each.rendered}"))


def _settings() -> BridgeSettings:
    try:
        conf = bridge_settings()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    for name, value in (
        ("VIDEO_BATCH_JOB_QUEUE", conf.job_queue),
        ("VIDEO_BATCH_JOB_DEFINITION", conf.job_definition),
    ):
        if not value:
            message = f"{name} is not set. `manage.py check` lists all missing settings."
            raise CommandError(message)
    return conf


def _next_step(wanted: DefinitionName, *, revision: int) -> str:
    if wanted.revision is not None:
        pinned = bridge_settings().job_definition
        return (
            f"Next: VIDEO_BATCH_JOB_DEFINITION is pinned to {pinned}; set it to {wanted.name}:{revision}, then restart."
        )
    return "New attempts use it from now on; running ones keep theirs. Next: check everything with `manage.py doctor`."
