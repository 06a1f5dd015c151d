"""The only code that calls AWS Batch.

It has a port for the bridge, the control plane for operators, and the containers' logs.
"""

from __future__ import annotations
