"""The REST API, for programs: `path("api/", include("batchreel.api.urls"))`. It needs the extra `api`.

Views call the same services and selectors as the pages. `protocol` has what all of them share: problems,
pages, ETags, Idempotency-Key, JSON, the limit of requests. None of it depends on the REST_FRAMEWORK setting of the
host site, except the authentication (endpoint.py). docs/reference/api.md is the page for users.
"""

from __future__ import annotations

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

if missing := [name for name in ("rest_framework", "drf_spectacular") if find_spec(name) is None]:
    message = f"The API needs {' and '.join(missing)}: `pip install 'batchreel[api]'`."
    raise ImproperlyConfigured(message)
