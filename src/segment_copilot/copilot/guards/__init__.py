"""The room that checks what models and people write: links, characters, claims, sizes, values. It decides nothing else, and asks no store."""
