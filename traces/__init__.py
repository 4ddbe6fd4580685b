"""Fleets of phones: for now their network, later also their availability and hardware."""
