"""Doors of other programs: MONAI Deploy, xarray, rasterio's command line."""
