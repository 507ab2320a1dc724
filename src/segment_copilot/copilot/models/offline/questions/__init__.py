"""Which question is asked, and about what."""
