"""Activations send the changes of a segment to the places where they are used. This room computes no membership."""
