"""How each kind of workload is observed, held and released; one file for each kind."""
