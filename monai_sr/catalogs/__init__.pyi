# What this package gives to others; each name is imported when it is first used.
from .bids import upscale_bids as upscale_bids
from .stac import names_item as names_item
from .stac import upscale_item as upscale_item
