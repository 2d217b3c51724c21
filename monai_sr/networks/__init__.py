"""Generators: low-resolution image in, enlarged image out."""

from monai_sr.networks import discriminators, generators
from monai_sr.networks.pruning import prune_hybrid_cascade
from monai_sr.networks.registry import (
    Discriminator,
    DiscriminatorInfo,
    EveryOutput,
    Generator,
    GeneratorInfo,
    create_discriminator,
    create_generator,
    list_discriminators,
    list_generators,
    register_discriminator,
    register_generator,
)
from monai_sr.networks.systems import (
    check_size,
    consistency_steps,
    create_network,
    find_system,
    list_systems,
    read_system,
    trained_scale,
    weights_file,
)
from monai_sr.networks.weights import (
    load_faces,
    load_pretrained,
    load_weights,
    read_weights,
    save_weights,
)

__all__ = [
    "Discriminator",
    "DiscriminatorInfo",
    "EveryOutput",
    "Generator",
    "GeneratorInfo",
    "check_size",
    "consistency_steps",
    "create_discriminator",
    "create_generator",
    "create_network",
    "discriminators",
    "find_system",
    "generators",
    "list_discriminators",
    "list_generators",
    "list_systems",
    "load_faces",
    "load_pretrained",
    "load_weights",
    "prune_hybrid_cascade",
    "read_system",
    "read_weights",
    "register_discriminator",
    "register_generator",
    "save_weights",
    "trained_scale",
    "weights_file",
]
