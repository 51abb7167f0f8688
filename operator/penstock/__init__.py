"""Penstock holds a Kubernetes release while the error budget is spent."""

__version__ = "0.1.0"
