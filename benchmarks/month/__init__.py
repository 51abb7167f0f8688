"""A month of 65 services in a real Prometheus: what their budgets cost to read, and how exactly.

`data` is the month itself (who the services are, what truly happened), `generated` makes it,
`served` puts it behind a real Prometheus, `promises` cuts objectives from it. Each way of reading
budgets is a `reading.Method`; the baselines are in `naive`, `sloth` and `pyrra`. `report` runs them
all and prints; `bars` holds ours to the figures that we promise.

A method is given a running server, the objectives and the instant at which the month ends, and says
how many bad and how many events it found in the window. What that took is metered alike for
everybody, by `reading.metered`.
"""
