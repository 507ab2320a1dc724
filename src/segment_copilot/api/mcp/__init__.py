"""The room of MCP: the copilot's tools for people who bring a language model of their own.

It translates and calls what others do; it has no rule of its own, and nothing is kept between two requests. `door` is
what the application knows; the package `mcp`, an extra, is imported by `wire` alone, when the first request comes.
"""
