"""MAKES words of a text: tokens, stems, concepts, other ways of saying one thing. It knows no catalog."""
