"""Foundations that know no image: errors, optional imports, registries, type aliases."""
