"""What the gate does with what it reads: how soon it decides, and how often it holds.

`under_way` is a release that never ends, with a gate before it: the operator's own pure core on a
clock of the benchmark's. `latency` lets errors begin in a real Prometheus and waits for the
decision; `replay` shows it a month.
"""
