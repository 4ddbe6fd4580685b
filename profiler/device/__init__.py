"""A device as we find it: what it is, what can be read, and what would make a measurement invalid now."""
