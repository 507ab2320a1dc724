"""Describe an audience in words; get a segment that is valid, counted, explained and ready to save.

It is headless: any frontend can consume it.
"""
