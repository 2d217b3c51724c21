"""Records around results by others' standards: BIDS derivatives, STAC items."""
