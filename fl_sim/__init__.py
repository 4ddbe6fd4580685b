"""From costs to a federated run: methods, plans, rounds, and what it takes to converge."""
