# What this package gives to others; each name is imported when it is first used.
from .bands import cubic as cubic
from .degradation import gaussian_blur as gaussian_blur
from .degradation import jpeg as jpeg
from .degradation import opencv_downsample as opencv_downsample
from .resize import REACH as REACH
from .resize import downsample as downsample
from .resize import downsample_uint8 as downsample_uint8
from .resize import phase_kernel as phase_kernel
from .resize import upsample as upsample
from .wavelet import BANDS as BANDS
from .wavelet import high_bands as high_bands
from .wavelet import smallest_side as smallest_side
from .wavelet import stationary_wavelet as stationary_wavelet
