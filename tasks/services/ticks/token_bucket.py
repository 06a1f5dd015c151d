"""Token bucket in the database, shared by all workers, for AWS API calls with an account-wide rate limit."""

from __future__ import annotations

from django.db import connection, transaction

from ...conf import bridge_settings
from ...models import TokenBucket

_TAKE = """
    UPDATE batchreel_tokenbucket AS bucket
       SET tokens = filled.tokens - LEAST(FLOOR(filled.tokens), %(wanted)s), refilled_at = clock_timestamp()
      FROM (SELECT name, LEAST(%(burst)s, tokens + %(per_s)s * EXTRACT(EPOCH FROM clock_timestamp() - refilled_at)) AS tokens
              FROM batchreel_tokenbucket WHERE name = %(name)s FOR UPDATE) AS filled
     WHERE bucket.name = filled.name
    RETURNING LEAST(FLOOR(filled.tokens), %(wanted)s)
"""


@transaction.atomic
def take_tokens(name: str, *, wanted: int) -> int:
    """Take up to `wanted` tokens from the bucket, and return the number taken."""
    conf = bridge_settings()
    bucket = TokenBucket(name=name, tokens=conf.submit_burst)
    TokenBucket.objects.bulk_create([bucket], ignore_conflicts=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE, {"name": name, "wanted": wanted, "burst": float(conf.submit_burst), "per_s": conf.submit_per_s}
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
