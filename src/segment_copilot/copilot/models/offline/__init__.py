"""The offline model: a grammar over the tenant's catalog, for English, without a network or a key.

lexer and stems → tokens · phrases, windows, dates → small phrases · index, linker, values → catalog names ·
chunks, clauses, money, recency, traits → conditions · pieces, subject, audience, joining → trees · draft → proposals ·
understanding, questions, drafting → plans · model → turns.
"""

from segment_copilot.copilot.models.offline.model import OfflineModel

__all__ = ["OfflineModel"]
