"""The engines: native kernels, torch one client at a time, torch all clients at once."""
