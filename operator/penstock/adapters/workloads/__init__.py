"""How each kind of workload is looked at, held and released; one file for each kind."""
