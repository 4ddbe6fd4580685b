"""From a measurement table to the time and energy of a client-round."""
