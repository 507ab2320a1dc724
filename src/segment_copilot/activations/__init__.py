"""Sending the changes of a segment to the places where they are used. It computes no membership itself."""
