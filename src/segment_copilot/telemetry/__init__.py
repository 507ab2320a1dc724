"""Holds what a process tells about itself: logs, metrics and spans. Every room may use it; it imports none of them."""
