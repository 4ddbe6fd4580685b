"""From a phone to a measurement table: one row per measured or published figure."""
