"""People are users one at a time: what is known of each, what they did. This room counts no audience."""
