"""Fields of a request's JSON body.

A missing field or one of the wrong type is rejected as by AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project.local.batch.errors import reject

if TYPE_CHECKING:
    from collections.abc import Mapping


def text_field(body: Mapping[str, Any], name: str) -> str:
    """Return a string that must be present and not empty. Raises ClientException."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        reject(f"{name} must be provided")
    return value


def number_field(body: Mapping[str, Any], name: str, *, default: int) -> int:
    """Return an integer, or `default` if the field is missing. Raises ClientException."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        reject(f"{name} must be an integer")
    return value


def mapping_field(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object, empty if the field is missing. Raises ClientException."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        reject(f"{name} must be an object")
    return value


def text_mapping_field(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return an object with string values, empty if the field is missing.

    Raises ClientException.
    """
    value = mapping_field(body, name)
    if not all(isinstance(text, str) for text in value.values()):
        reject(f"{name} must be a string to string map")
    return value


def list_field(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of objects, empty if the field is missing. Raises ClientException."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        reject(f"{name} must be a list of objects")
    return value


def text_list_field(body: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of strings, empty if the field is missing. Raises ClientException."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        reject(f"{name} must be a list of strings")
    return value
