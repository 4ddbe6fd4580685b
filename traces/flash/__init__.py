"""FLASH's files (WWW 2021): state traces of phones, which models they are, and how fast their networks."""
