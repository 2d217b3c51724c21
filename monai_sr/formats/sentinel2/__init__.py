"""Sentinel-2 products (SAFE), level 1C and 2A."""
