"""Internal events → what travels: one module per wire protocol."""
