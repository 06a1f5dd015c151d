"""Pure rules: states and their transitions, reasons, the retry policy, and what AWS Batch's texts mean.

Imports no Django, Celery or boto3.
"""

from __future__ import annotations
