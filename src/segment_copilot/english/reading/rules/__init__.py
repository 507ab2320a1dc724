"""Holds the rules, one row and one short function each: what people did, how much, who they are, and how parts join. They read anchors, and no words."""
