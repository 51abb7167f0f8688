"""All planted faults: one for each behaviour of the operator, and the test that must catch it."""

from __future__ import annotations

from mutation.domain_faults import DOMAIN_FAULTS
from mutation.engine_faults import ENGINE_FAULTS

FAULTS = (*DOMAIN_FAULTS, *ENGINE_FAULTS)
