"""Data sets to train on: from their official files, by writer, or embedded."""
