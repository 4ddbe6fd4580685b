"""FedScale's traces: capacity, availability and a run of throughput, as JSON or as the original pickles."""
