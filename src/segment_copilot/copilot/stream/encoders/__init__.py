"""The room that turns events into what travels: one module per wire protocol. None of them changes what is said."""
