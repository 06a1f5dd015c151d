"""Fields and shapes of what clients send and get.

What a client sends is taken literally: a number is no text, and an unknown name is an error, not something to ignore.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import QueryDict
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext
from rest_framework import serializers


class Text(serializers.CharField):
    """A text, and nothing that could be made one."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse numbers."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Number(serializers.IntegerField):
    """A whole number, and no text or fraction."""

    def to_internal_value(self, data: Any) -> int:
        """Refuse everything else."""
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """True or false, and no text or number."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse everything else."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Moment(serializers.DateTimeField):
    """A time in UTC, whatever time zone the site has: 2026-01-02T06:04:05.123456Z."""

    def to_representation(self, value: datetime) -> str:
        """Return the time as text."""
        aware = make_aware(value) if is_naive(value) else value
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Entered(serializers.Serializer[Any]):
    """What a client sends. Names that the API does not have are refused."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse unknown names."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name[:100]: gettext("There is no such field.") for name in unknown})
        return super().to_internal_value(data)


class Shown(serializers.Serializer[Any]):
    """What the API returns."""


class ProblemError(Shown):
    """One value that is not valid."""

    field = serializers.CharField(help_text="Its name; empty for the request as a whole.")
    message = serializers.CharField()


class Problem(Shown):
    """An error: problem details (RFC 9457)."""

    type = serializers.CharField(help_text="Always `about:blank`.")
    title = serializers.CharField(help_text="The phrase of the status.")
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable code for programs.")
    detail = serializers.CharField(help_text="What is wrong, for people.")
    errors = ProblemError(  # type: ignore[assignment]  # DRF takes fields out of the class
        many=True, required=False, help_text="Values that are not valid."
    )
    missing = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="With `PARTS_MISSING`: numbers of parts."
    )


def entered(kind: type[Entered], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """Return the values that a client has sent. Raises ValidationError."""
    form = kind(data=_literal(data) if isinstance(data, QueryDict) else data, partial=partial)
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found


def _literal(form: QueryDict) -> dict[str, Any]:
    """Return the values of a form as they were sent: DRF would take an empty one for one that was not sent."""
    repeated = [name for name, texts in form.lists() if len(texts) > 1]
    if repeated:
        raise serializers.ValidationError({name[:100]: gettext("It occurs more than once.") for name in repeated})
    return form.dict()


def shown(kind: type[Shown], values: Any) -> dict[str, Any]:
    """Return the values in this shape."""
    return dict(kind(values).data)


def paged(kind: type[Shown]) -> type[Shown]:
    """Return the shape of one page of a list."""
    name = kind.__name__.removesuffix("Shown")
    return type(
        f"{name}PageShown",
        (Shown,),
        {
            "__doc__": "One page of a list, newest first.",
            "next": serializers.CharField(allow_null=True, help_text="URL of the next page."),
            "previous": serializers.CharField(allow_null=True, help_text="URL of the page before."),
            "results": kind(many=True),
        },
    )
