"""One discriminator a file; importing this package registers them all."""

from monai_sr.networks.discriminators.high_band import (
    HighBandDiscriminator as HighBandDiscriminator,
)
from monai_sr.networks.discriminators.patchgan import PatchGAN as PatchGAN
from monai_sr.networks.discriminators.pooled_patch import (
    PooledPatchDiscriminator as PooledPatchDiscriminator,
)
from monai_sr.networks.discriminators.srgan_vgg import SRGANDiscriminator as SRGANDiscriminator
from monai_sr.networks.discriminators.unet_sn import UNetDiscriminator as UNetDiscriminator
