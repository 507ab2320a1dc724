"""READS an audience: anchors, rules that make conditions of them, a chart that joins parts, one score, a gate. It never drafts what it could not place."""
