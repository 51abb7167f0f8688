"""The outside things, one file each: the only code that knows Kubernetes or Prometheus."""
