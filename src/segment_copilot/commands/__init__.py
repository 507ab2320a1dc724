"""What `segment-copilot COMMAND` does; `__main__` gives each its arguments."""
