"""The only code that knows Kubernetes or Prometheus: one file for each external concern."""
