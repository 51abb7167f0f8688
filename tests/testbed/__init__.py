"""Real servers for tests and the demo: a control plane, a node and Prometheus on loopback."""
