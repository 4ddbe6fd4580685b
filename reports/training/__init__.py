"""What a training run looks like: its progress, its curves, its costs."""
