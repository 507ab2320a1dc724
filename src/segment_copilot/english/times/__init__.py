"""READS numbers compared and time spans, as people say them. It reads no clock."""
