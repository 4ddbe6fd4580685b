"""Ways to reach a device: directly over ADB, through an ADB server, or this machine itself."""
