"""Generators: low-resolution image in, enlarged image out."""

from monai_sr.networks import generators
from monai_sr.networks.registry import (
    Generator,
    GeneratorInfo,
    create_generator,
    list_generators,
    register_generator,
)
from monai_sr.networks.weights import load_pretrained, load_weights, read_weights

__all__ = [
    "Generator",
    "GeneratorInfo",
    "create_generator",
    "generators",
    "list_generators",
    "load_pretrained",
    "load_weights",
    "read_weights",
    "register_generator",
]
