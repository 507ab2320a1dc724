"""Numbers compared and time spans, as people say them."""
