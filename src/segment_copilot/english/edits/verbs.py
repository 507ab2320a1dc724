"""The verbs of edits, and the words around them that say nothing: tables only."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.edits.steps import Mode


def phrases(text: str) -> tuple[tuple[str, ...], ...]:
    """Phrases that a bar separates, as words."""
    return tuple(tuple(words.split()) for words in text.split(" | "))


_VERBS: Final[dict[Mode, str]] = {
    "set": "make | give it | give this | set | change | adjust | modify | update | switch | turn | edit | tweak | put | use | go with | go for | try | move | correct | fix | "
    "let it be | have it | i meant | i mean | it should be | it must be | it has to be | should be | should have been | it should have been | take | "
    "what if it was | what if it were | what if it is | what if we used | what if we use | what if i used | what if you used | what if | how about | "
    "what about | count | pick | choose | go to | shift | base it on | look at | consider | instead use | say | it was | it is",
    "up": "raise | increase | bump | lift | extend | widen | expand | lengthen | loosen | relax | boost | enlarge | broaden | grow | bump up | push up | push | stretch",
    "down": "lower | reduce | decrease | shorten | shrink | tighten | trim | cut down | bring down | cut | narrow",
    "only": "only | just | keep only | keep just | limit to | limit it to | limit this to | limit them to | restrict to | restrict it to | restrict this to | "
    "restrict them to | narrow to | narrow it to | narrow it down to | narrow this to | narrow this down to | narrow down to | narrow them down to | "
    "focus on | focus it on | filter to | filter by | filter for | filter on | filter it to | filter it by | filter down to | require | require that | "
    "must | must be | must have | make sure | make sure that | make sure they | ensure | ensure that | only count | count only | only consider | "
    "only look at | only include | include only | only keep | only show | show only | show me only | show me just | give me only | give only | only use | only want | only take | limit | restrict | "
    "they must | they should | they must be | they should be | they must have | they need to be | they have to be | it should only be | let us only",
    "add": "add | plus | and | with | who | that | add a condition | add the condition | add a condition that | add the condition that | add that | "
    "add a rule that | add a filter that | add a filter for | add a condition for | add a requirement that | additionally | in addition | "
    "add the requirement that | further | on top | while | where | whose | having | that also | who also | as long as | provided",
    "or": "or | or else | alternatively | either",
    "include": "include | allow | accept | let in | also count | count also | add in | and include | cover",
    "restore": "add back | bring back | put back | stop excluding | do not exclude | not exclude | no longer exclude | do not leave out | stop leaving out | "
    "include again | let back in | unexclude | re - include | do not omit | do not filter out | take back in | allow back | keep",
    "exclude": "exclude | except | except for | leave out | filter out | keep out | but not | and not | not | omit | other than | apart from | do not include | "
    "not include | excluding | but exclude | minus | leave off | rule out | do not count | ignore anyone | not count | weed out | kick out | not those",
    "without": "without | no | but without | with no | and no | and without | no more",
    "remove": "remove | drop | delete | take out | get rid of | lose | forget | forget about | ignore | skip | strip | strip out | scrap | ditch | kill | clear | "
    "take away | discard | eliminate | erase | dump | cut out | throw out | throw away | i do not care about | do not care about | never mind | "
    "do not need | no need for | i do not need | we do not need | stop requiring | no longer require | do not require | regardless of | "
    "disregard | take off | undo the | unset | do not test | do not check | irrespective of | stop checking | stop looking at",
    "swap": "replace | swap | substitute | exchange | trade | swap out | instead of | rather than | in place of",
    "negate": "invert | flip | negate | reverse | the opposite of | turn around",
    "rename": "rename | call it | name it | call this | name this | title it | call the segment | name the segment | call that | give it the name | rename it | "
    "rename this | rename the segment | let us call it | label it | retitle | retitle it | call the draft | name the draft",
    "undo": "undo | revert | go back | roll back | take that back | rollback | restore the previous | back to how it was | back to the previous | undo that | "
    "as it was before | as before | restore | put it back",
    "times": "double | triple | halve | quadruple | half",
}  # fmt: skip
BY_WORDS: Final[dict[tuple[str, ...], Mode]] = {
    words: mode for mode, spoken in _VERBS.items() for words in phrases(spoken)
}
WORDS: Final = frozenset(said for words in BY_WORDS for said in words if not said.endswith("ing"))
"""Words of the verbs here: none of them is a slip of another word."""
LONGEST: Final = max(len(words) for words in BY_WORDS)
FACTORS: Final = {"double": 2.0, "triple": 3.0, "quadruple": 4.0, "halve": 0.5, "half": 0.5}
BEFORE: Final = phrases(
    "same but | same except | the same but | the same except | same as before but | same segment but | the same segment but | same "
    "thing but | like this but | like this segment but | like that but | this but | this segment but | like this one but | same for | "
    "the same for | like before but | keep everything but | keep everything the same but | leave everything but | keep the rest but | "
    "keep it but | as before but | same with | the same with | same thing with | same thing for | please | can you | could you | would "
    "you | will you | can we | could we | ok | okay | hmm | well | sorry | wait | actually | now | then | so | great | thanks | perfect "
    "| nice | good | i want to | i want it to | i would like to | i would like | let us | let me | maybe | perhaps | rather | no wait | "
    "oh | ah | no , | yes , | on second thought | better | i think | we should | you should | should we | shall we | should i | and now "
    "| and then | but now | next | finally | first | one more thing | also please | hm | uh | hey | alright | cool | right | like this "
    ", | same , | i need it to | i need to | i want you to | i would rather | i want | let it | in that case | my mistake | oops | edit "
    ": | try to | like the draft but | like this segment , | like this segment | in this segment | in this draft | for this segment | "
    "for this draft | for this one | in the draft | for the draft | do the same but | do the same for | this time | this segment , | "
    "yes | yeah | yep | sure | go ahead and | just to"
)
AFTER: Final = phrases(
    "please | now | thanks | thank you | the rest stays | the rest stays the same | keep the rest | keep the rest the same | keep the "
    "rest as is | keep the rest as it is | leave the rest | leave the rest alone | leave the rest as it is | leave the rest as is | and "
    "keep the rest | everything else stays | everything else stays the same | everything else the same | nothing else | keep everything "
    "else | keep everything else the same | the rest unchanged | leave everything else | leave everything else alone | rest stays the "
    "same | rest unchanged | rest as is | from the segment | from the draft | from this segment | from this draft | in the draft | in "
    "the segment | from the audience | from the definition | in this segment | in this draft | to the segment | to the draft | to this "
    "segment | to the audience | to this draft | from it | for me | then | if possible | i think | again | maybe | and the rest stays | "
    "the rest is fine | rest is fine | . | ! | ? | , | ; | that is it | that is all | right | ok | okay | altogether | entirely | "
    "completely | at all | after all | from the list | and leave the rest | but keep the rest | but leave the rest | the rest stays as "
    "it is | the rest can stay | the other conditions stay | the others stay | from the conditions | though | actually | of the segment "
    "| of the draft | as a condition | as a filter | everything else unchanged | the rest remains | for this segment | for this draft | "
    "here | if you can"
)
TOO: Final = (("too",), ("as", "well"), ("also",), ("in", "addition"), ("on", "top"), ("either",))
STRONG: Final[set[Mode]] = {"set", "up", "down", "times", "only", "remove", "exclude", "swap", "rename", "include", "restore", "add", "negate"}  # fmt: skip
WEAK: Final = {"use", "count", "try", "take", "say", "put", "and", "with", "who", "that", "not", "nor", "while", "where", "whose", "having", "plus", "just",
                "must", "keep", "look at", "consider", "never", "cover", "further", "move", "what about", "how about", "except", "go to", "it is", "it was",
                "minus", "on top", "must be", "must have", "cut", "grow", "push", "pick", "lose", "trade", "shift", "turn"}  # fmt: skip
"""Verbs that do not begin a second edit in one sentence."""
