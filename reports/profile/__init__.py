"""What a person sees of a device, of a campaign under way, and of what it measured."""
