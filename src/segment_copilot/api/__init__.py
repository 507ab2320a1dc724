"""HTTP resources translate a request, call a use case and return its answer. This room holds no rule and no SQL."""
