"""What GDAL reads and writes: GeoTIFF, PNG, JPEG and more."""
