"""Generators and discriminators by name, how one grows into another, and feature extractors."""

from tmd.models.discriminators import create_discriminator
from tmd.models.generators import create_generator
from tmd.models.registry import DISCRIMINATORS, GENERATORS

__all__ = ["DISCRIMINATORS", "GENERATORS", "create_discriminator", "create_generator"]
