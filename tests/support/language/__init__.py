"""The language read a second time, in plain Python, and random definitions and histories to compare the readings on."""
