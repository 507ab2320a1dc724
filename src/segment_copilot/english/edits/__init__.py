"""Follow-up edits: a sentence that changes one thing of a definition, as a patch that touches nothing else.

It never writes a definition anew.
"""
