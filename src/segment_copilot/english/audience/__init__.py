"""A sentence about people to a draft: cut into clauses, each read, joined to one tree.

It answers no question and changes no draft.
"""
