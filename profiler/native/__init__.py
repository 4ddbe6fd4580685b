"""The C programs of the profiler: for which processors, by which compiler, and where the built ones lie."""
