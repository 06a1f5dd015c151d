#!/bin/sh
# standardwebhooks signs an aware time of another zone than UTC as if its digits were UTC, without an error.
#
# Versions: standardwebhooks 1.1.0.
# Expected: sign() takes an aware datetime as the instant that it is, or refuses it; a body of bytes, which is what travels, is signed.
# Seen:     the zone is replaced, not converted. The instant of 12:00 UTC, written as 14:00 at +02:00, gets the signature of 14:00 UTC, so a
#           receiver refuses the request: its header has the true timestamp. A body of bytes is signed as the text b'...'.
# So:       give sign() a time in UTC and a text (tasks/webhooks/signature.py refuses anything else).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import base64
from datetime import datetime, timedelta, timezone

from standardwebhooks.webhooks import Webhook

webhook = Webhook("whsec_" + base64.b64encode(bytes(range(32))).decode())
utc = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
elsewhere = utc.astimezone(timezone(timedelta(hours=2)))
assert utc == elsewhere
same_instant = webhook.sign("1", utc, "{}") == webhook.sign("1", elsewhere, "{}")
same_digits = webhook.sign("1", utc + timedelta(hours=2), "{}") == webhook.sign("1", elsewhere, "{}")
same_body = webhook.sign("1", utc, "{}") == webhook.sign("1", utc, b"{}")
as_text = webhook.sign("1", utc, "b'{}'") == webhook.sign("1", utc, b"{}")
print(f"one instant in two zones has one signature: {same_instant}; that of the other zone's digits in UTC: {same_digits}")
print(f"a body of bytes is signed like its text: {same_body}; like the text b'{{}}': {as_text}")
raise SystemExit((same_instant, same_digits, same_body, as_text) != (False, True, False, True))
PYTHON
