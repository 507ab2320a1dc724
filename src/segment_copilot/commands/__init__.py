"""What `segment-copilot COMMAND` does; `__main__` gives each its arguments. No rule of the product is in it."""
