"""What runs on the device, and how to read what it prints."""
