"""Holds what a process tells about itself: logs and metrics. Every room may use it; it imports none of them."""
