# What this package gives to others; each name is imported when it is first used.
from .affine import scaled_affine as scaled_affine
from .geotransform import bbox_slices as bbox_slices
from .geotransform import source_transform as source_transform
from .geotransform import window_slices as window_slices
from .target_grid import LARGEST_SCALE as LARGEST_SCALE
from .target_grid import covering_samples as covering_samples
from .target_grid import scaled_sizes as scaled_sizes
from .target_grid import sizes_for_spacing as sizes_for_spacing
from .target_grid import spacing_of as spacing_of
from .target_grid import target_spacing as target_spacing
