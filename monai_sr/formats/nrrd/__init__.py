"""NRRD, attached (.nrrd) and detached (.nhdr)."""
