"""Integer training (NITI): one step as numpy's int64 oracle, and as torch for one client or a whole cohort."""
