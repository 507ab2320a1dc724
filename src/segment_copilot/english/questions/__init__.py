"""READS a question: which intent, and which names its words are. It answers none."""
