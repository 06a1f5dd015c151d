"""The rules, pure: states and how they change, reasons, the retry policy, and what AWS's words mean. Imports no Django, Celery or boto3."""

from __future__ import annotations
