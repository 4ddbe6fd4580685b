"""A campaign: a plan of measurements, run one by one on a device, safe to interrupt at any point."""
