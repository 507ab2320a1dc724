"""Holds what each `segment-copilot COMMAND` does; `__main__` gives it its arguments. It holds no rule of the product."""
