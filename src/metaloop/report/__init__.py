"""The report of a run: a page, a story in the terminal, and exports, from its archive alone.

Nothing here trains, evaluates or imports torch, and nothing below knows that a page exists.
"""

from metaloop.report.claim import Claim, claim_of
from metaloop.report.files import write_report
from metaloop.report.page import page_of
from metaloop.report.reading import Records, read_run
from metaloop.report.story import find_candidate, story_json
from metaloop.report.summary import summary_json

__all__ = [
    "Claim",
    "Records",
    "claim_of",
    "find_candidate",
    "page_of",
    "read_run",
    "story_json",
    "summary_json",
    "write_report",
]
