"""HTTP: translate, call, return. It holds no rule and no SQL."""
