"""English without a key or a network: a sentence becomes a definition, an edit or a question, over a tenant's catalog.

It is pure: it knows no copilot, no tool and no HTTP, and reads no clock. `reading` is its front door and bounds it: what
is too long is not read, what takes more steps than its `budget` is given up. A message goes down one way: `words`
(tokens, other ways of saying one thing) → `dialogue` (what is asked now, answers put where they belong) →
`understanding`, which hands it to `edits`, `questions` or `audience`. These find names by `linking` and time spans by
`times`, and each ends in a plan (`plan`): the look-ups to make, turn by turn, and what to say of their results
(`answers`). Nothing is guessed in silence: a word that nothing explains stops the draft, an open one is asked about, and
what was settled without asking is said. `copilot/models/offline.py` makes tool calls of the plans.
"""
