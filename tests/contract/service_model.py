"""Validation of responses against botocore's model of AWS Batch: unknown, missing and wrongly typed members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, Shape, StructureShape

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "timestamp": (int,),
    "float": (int, float),
    "double": (int, float),
}
"""Shape type -> Python types of its JSON value. Batch's times are longs, in milliseconds."""


def violations(value: Any, shape: Shape | None, at: str = "response") -> Iterator[str]:
    """Yield each violation of the model's shape by a JSON value."""
    if shape is None:
        if value:
            yield f"{at}: the model has no output, this is {value!r}"
    elif shape.type_name == "structure":
        yield from _of_structure(value, shape, at)  # type: ignore[arg-type]  # narrowed by the type name
    elif shape.type_name == "list":
        yield from _of_list(value, shape, at)  # type: ignore[arg-type]  # as above
    elif shape.type_name == "map":
        yield from _of_map(value, shape, at)  # type: ignore[arg-type]  # as above
    elif not isinstance(value, _KINDS[shape.type_name]) or (isinstance(value, bool) != (shape.type_name == "boolean")):
        yield f"{at}: {value!r} is not of type {shape.type_name}"
    elif (enum := getattr(shape, "enum", None)) and value not in enum:
        yield f"{at}: {value!r} is not one of {', '.join(enum)}"


def _of_structure(value: Any, shape: StructureShape, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {value!r} is not a structure"
        return
    names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    yield from (f"{at}.{name}: not in the model" for name in value.keys() - names.keys())
    yield from (f"{at}.{name}: missing" for name in _required(shape) - value.keys())
    for name in value.keys() & names.keys():
        yield from violations(value[name], names[name], f"{at}.{name}")


def _required(shape: StructureShape) -> set[str]:
    """Return the required members.

    The model requires `startedAt` of a job, but in AWS's own example of DescribeJobs, a job that
    has not started lacks it.
    """
    return set(shape.required_members) - ({"startedAt"} if shape.name == "JobDetail" else set())


def _of_list(value: Any, shape: ListShape, at: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{at}: {value!r} is not a list"
        return
    for number, each in enumerate(value):
        yield from violations(each, shape.member, f"{at}[{number}]")


def _of_map(value: Any, shape: MapShape, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {value!r} is not a map"
        return
    for name, each in value.items():
        yield from violations(each, shape.value, f"{at}.{name}")
