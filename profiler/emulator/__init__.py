"""A phone that is none: an ADB device in this process, with a battery of known power. For tests and first steps."""
