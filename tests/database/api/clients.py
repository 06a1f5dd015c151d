"""Clients of the API: with a token, as scripts have one, and the bucket to which they send parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PROBLEM = "application/problem+json"


def with_token(user: User) -> APIClient:
    """Return a client that sends the user's token, and JSON."""
    client = APIClient()
    client.default_format = "json"
    token, _ = Token.objects.get_or_create(user=user)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
    return client


def problem(response: Any) -> tuple[int, str]:
    """Return status and code of a response that must be a problem."""
    assert response["Content-Type"] == PROBLEM, response.content
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    return response.status_code, body["code"]


class Store(NamedTuple):
    """A private bucket and an S3 client."""

    s3: Any
    name: str

    def unfinished(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]
