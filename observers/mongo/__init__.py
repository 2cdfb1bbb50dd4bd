"""Runs in MongoDB: recorded by way of the disk, sent in the background, read back."""
