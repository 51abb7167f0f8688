"""The public contract: models of our custom resources, their schemas, and parsing into the core."""
