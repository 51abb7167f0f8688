"""The only package that uses Kopf: it receives events and does nothing else."""
