"""Examines a deployment: what it is set to, whether its stores fit, what waits in them, and what to do about what is wrong.

It reads, and never writes, migrates or mends anything; one thing that is wrong hides none of the others.
"""

from segment_copilot.doctor.examination import examine
from segment_copilot.doctor.findings import Check, Report, Verdict

__all__ = ["Check", "Report", "Verdict", "examine"]
