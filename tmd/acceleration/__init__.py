"""Arithmetic of a step: layouts, precisions, kernels and threads that make it fast."""
