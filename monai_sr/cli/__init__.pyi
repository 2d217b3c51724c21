# What this package gives to others; each name is imported when it is first used.
from .stages import first_stage as first_stage
