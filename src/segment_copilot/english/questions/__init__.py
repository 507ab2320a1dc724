"""Which question is asked, and about what. It answers none of them."""
