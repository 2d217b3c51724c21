"""Pixel grids: where an image lies in the world, in each format's convention."""
