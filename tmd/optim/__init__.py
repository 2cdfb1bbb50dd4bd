"""Optimisers and gradient rules."""
