"""Runs the core through ports: asynchronous, but without Kopf, HTTP or Kubernetes."""
