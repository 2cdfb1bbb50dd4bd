"""Single-image super-resolution with PyTorch and Ignite: the library, free of Sacred."""

__version__ = "0.2.0"
