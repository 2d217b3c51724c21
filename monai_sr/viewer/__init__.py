"""A page to look at: input, bicubic, result, uncertainty and agreement side by side."""
