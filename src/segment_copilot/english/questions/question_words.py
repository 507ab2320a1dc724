"""The words by which questions about events ask: groups of stems, each for one thing that may be asked."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.questions.asking import ASKING, CONNECTORS, EVENTS, PROPERTIES, SCHEMAS, SEGMENTS, TREND
from segment_copilot.english.words.lexicon import stems

TOP: Final = stems(
    "top popular common frequent frequently rank ranked ranking highest biggest busiest volume most largest leading best main often"
)
BOTTOM: Final = stems("least rarest rare fewest lowest uncommon infrequent bottom")
LATEST: Final = stems("latest newest recent recently last just")
ARRIVED: Final = stems(
    "ingest receive arrive ingestion come record track happen collect send log land fire flow stream get news going went in"
)
INGESTED: Final = stems("ingest receive arrive ingestion")
VOLUME: Final = stems(
    "volume daily per number count many chart graph plot often trend time timeline development happen traffic amount total frequency"
)
BUSIEST: Final = stems("busiest quietest slowest best worst peak biggest most fewest least highest lowest")
DAYS: Final = stems("day date weekday")
VALUE_WORDS: Final = stems(
    "term keyword phrase value option possible exist distinct available different unique take choice kind type example used"
)
BY: Final = stems("by per breakdown broken split distribution across each")
MEANS: Final = stems("mean about describe description represent meaning stand tell know explain definition")
HELD: Final = stems(
    "contain include hold carry have come available registered type list detail name look know about store stored"
)
SUMS: Final = stems("revenue turnover sum income earn earning gross gmv aov mrr arr profit margin ltv clv")
AVERAGES: Final = stems("average mean median avg typical typically")
MADE: Final = stems(
    "usage use used get got place make made happen occur take took come came do did be are receive had have there going perform record like see saw log register live locate located base based try tried pick picked choose chosen prefer spend"
)
RISE: Final = stems(
    "compare compared comparison versus vs against than to relative more fewer less up down higher lower difference"
)
NOT_EVENTS: Final = stems("catalog weather time price")
FILLERS: Final = stems("volume number count total chart graph trend traffic amount")

SPENT: Final = (
    VOLUME
    | TREND
    | RISE
    | TOP
    | BOTTOM
    | LATEST
    | BUSIEST
    | DAYS
    | MADE
    | EVENTS - stems("activity")
    | VALUE_WORDS
    | BY
    | MEANS
    | HELD
)
"""Words of questions that are not what they are about."""

QUESTION_WORDS: Final = (
    SPENT
    | ASKING
    | SUMS
    | AVERAGES
    | SCHEMAS
    | PROPERTIES
    | SEGMENTS
    | CONNECTORS
    | stems(
        "large larger small smaller big bigger huge size member membership define definition criterion criteria overlap compare empty static dynamic connected "
        "paused failing inactive destination usage used"
    )
)
"""Words that questions are made of: never taken for a slip of another word."""
