"""The same on a kind cluster, for those who have Docker: `make kind-up` and `KIND=1 make demo`."""
