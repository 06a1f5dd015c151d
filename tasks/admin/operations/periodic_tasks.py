"""Django-celery-beat's page of a periodic task, without its inline script, and with the site's tasks to choose from.

Our Content-Security-Policy refuses inline scripts, as own sites do that copy it. That script repeats in the help
text what the page has as a field of its own ("Crontab translation"), and hides the field; here, the field is shown.

The package offers the tasks of the application that Celery has for the current thread. Unless a site calls
`set_default()`, that is a fallback in the threads of a web server, which has not imported the site's tasks.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin

from ...broker.app import celery_app


def task_choices() -> list[tuple[str, str]]:
    """Return the names of the site's Celery tasks as choices, with an empty one first."""
    app = celery_app()
    app.loader.import_default_modules()
    names = sorted(name for name in app.tasks if not name.startswith("celery."))
    return [("", ""), *((name, name) for name in names)]


def _replace_page() -> None:
    from django_celery_beat.admin import (  # noqa: PLC0415 - an optional app
        PeriodicTaskAdmin,
        PeriodicTaskForm,
    )
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 - as above

    class SchedulableTaskForm(PeriodicTaskForm):  # type: ignore[misc]  # the package has no types
        """The form, with the tasks that are registered now. Another name can be typed below."""

        regtask = forms.ChoiceField(
            label=PeriodicTaskForm.base_fields["regtask"].label, required=False, choices=task_choices
        )

    class SchedulableTaskAdmin(PeriodicTaskAdmin):  # type: ignore[misc]  # as above
        """The page as the package has it, with Django's own template."""

        form = SchedulableTaskForm
        change_form_template = "admin/change_form.html"

        def crontab_translation(self, obj: Any) -> str:
            """Return the crontab in words; empty without one."""
            return obj.crontab.human_readable if obj.crontab else ""

    registered: Any = admin.site.get_model_admin(PeriodicTask) if admin.site.is_registered(PeriodicTask) else None
    # A site that registered its own page keeps it.
    if type(registered) is PeriodicTaskAdmin:
        admin.site.unregister(PeriodicTask)
        admin.site.register(PeriodicTask, SchedulableTaskAdmin)


if apps.is_installed("django_celery_beat"):
    _replace_page()
