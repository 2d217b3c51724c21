"""One discriminator a file; importing this package registers them all."""

from monai_sr.networks.discriminators.high_band import HighBandDiscriminator
from monai_sr.networks.discriminators.patchgan import PatchGAN
from monai_sr.networks.discriminators.pooled_patch import PooledPatchDiscriminator
from monai_sr.networks.discriminators.srgan_vgg import SRGANDiscriminator
from monai_sr.networks.discriminators.unet_sn import UNetDiscriminator

__all__ = [
    "HighBandDiscriminator",
    "PatchGAN",
    "PooledPatchDiscriminator",
    "SRGANDiscriminator",
    "UNetDiscriminator",
]
