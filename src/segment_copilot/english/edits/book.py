"""Ways of asking for an edit, rewritten to the verbs of the grammar; and remarks that ask for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import NOISE, stems
from segment_copilot.english.words.phrasebook import Book, rewritten

_EDITS: Final = Book("""
# A verb and its particle
^ take|throw|kick|strip|cut|rip|pull|get <any> out|off|away of|from? it|this|that|here|there|the? segment|draft|audience|group|list? $ = remove <any>
^ keep|leave|filter|rule|weed|sort|screen|shut|let <any> out|away of|from? it|this|that|here|there|the? segment|draft|audience|group|list? $ = exclude <any>
^ bring|put|add|take|let|get|have <any> back in? there|it|again? $ = add back <any>
^ let|keep|have|leave|want|put|get <any> in|inside there|it|here|the? segment|draft|audience|group|list? $ = include <any>
^ turn|switch|convert|change <any> into <rest> = change <any> to <rest>
^ drop|cut|bring|push|get|take|put|bring <any> down|up|back to <rest> = set <any> to <rest>
^ drop|go|come|move|step|fall|get down|up|back to <rest> = set to <rest>
^ drop|cut|lower|bring|reduce <any> to <rest> = set <any> to <rest>
^ open it|this|that? up? to <rest> = include <rest>
^ open it|this|that? up? for <rest> = include <rest>
# What is not wanted any more
^ <any> does|do|did|would|will not really|actually? matter|interest|apply|bother any? me|us|longer|more? $ = remove <any>
^ <any> no longer matters|matter|counts|applies|apply $ = remove <any>
^ <any> is|are|was|were irrelevant|unimportant|unnecessary|optional|superfluous|needless|redundant|pointless|useless|obsolete $ = remove <any>
^ <any> is|are|was|were not really|that? important|needed|necessary|relevant|required|wanted any? longer|more? $ = remove <any>
^ <any> is|are no longer important|needed|necessary|relevant|required|wanted $ = remove <any>
^ <any> can|should|may|must|could|has|have|needs to? go|leave|disappear|vanish|away $ = remove <any>
^ <any> can|should|may|must|could be dropped|removed|deleted|ignored|skipped|forgotten|scrapped $ = remove <any>
^ there|it should|must|need|needs be|to? no <rest> = remove <rest>
^ no|without restriction|restrictions|limit|limits|limitation|limitations|filter|filters|constraint|constraints|condition|conditions|requirement|requirements|rule|test|check on|for|about|by|to|of|regarding the|any? <rest> = remove <rest>
^ no need|reason to check|test|look|filter|ask|restrict|limit on|at|for|by|to|about? <rest> = remove <rest>
^ no|without|drop any? <any> restriction|restrictions|limit|limits|limitation|filter|filters|constraint|condition|requirement|requirements|rule $ = remove <any>
^ i|we do not want|need|care about|for? <rest> = without <rest>
^ i|we do not want|need <rest> = without <rest>
^ whatever|whichever the|their? <rest> = remove <rest>
^ no matter what|which|the|their? <rest> = remove <rest>
^ regardless of the|their|what|which? <rest> = remove <rest>
^ from|in|with|on|of? any|every|all <any> is|are? ok|fine|allowed|welcome|possible|accepted|good $ = remove <any>
^ make|let|set|have it|this|that|them? be? worldwide|global|globally|international|anywhere|everywhere in? the? world? $ = remove the country
^ worldwide|globally|everywhere|anywhere|global|international|internationally in? the? world? $ = remove the country
^ from|in any|every|all country|countries|place|places $ = remove the country
^ everywhere|anywhere|worldwide but|except|outside|besides of? in? <rest> = exclude <rest>
^ all|everyone|everybody|anyone|anybody|anything|everything but|except|besides|outside|excluding|without of? <rest> = exclude <rest>
^ do not limit|restrict|filter|narrow it|this|them|that? to|by|on|for? <rest> = remove <rest>
^ drop|remove|delete|forget everything|all but|except|besides for? <rest> = keep only the <rest> condition
^ everything|all but|except|besides <any> can|should|may|must go|leave|disappear = keep only the <any> condition
# Who comes in, who goes
^ <any> may|can|should|could|might|will|must|need|needs to? stay|remain|come|return|go|count|belong|get in|inside|there|too|back? in|there|it|here|again? $ = include <any>
^ add|put <any> to|on|into the|my|our? exclusions|exclusion|excluded|blacklist list|people? $ = exclude <any>
^ add an|another? alternative|option|alternatively :? <rest> = or <rest>
^ nobody|none|noone who|that|from|in|of <rest> = exclude anyone who <rest>
^ no one who|that|from|in|of <rest> = exclude anyone who <rest>
^ <any> may|can|should|could|might|will|must|need|needs to? be included|allowed|accepted|back|in|inside|there|counted|part in? of|there|it|here|again? it|this|the? segment|audience? $ = include <any>
^ <any> is|are ok|okay|fine|allowed|welcome|good|included|in $ = include <any>
^ <any> is|are|should|must|may|can|do|does|did|need|will not be|to|belong|count|stay|go|get|come? be? in|included|there|counted|part|here|inside|wanted in|of|there? it|this|there? $ = exclude <any>
^ <any> should|must|have|has|need|needs|are|is to? be|stay|remain|go? out|excluded|away|outside|left|kept|omitted out? of? it|this? $ = exclude <any>
^ whoever|everyone|everybody|anyone|anybody|people|users|customers <any> is|are|should|goes|go|must be|stay? out $ = exclude anyone <any>
^ i|we also want|need|like <rest> = include <rest>
^ i|we want|need|like <any> too|also|as well? $ = include <any>
^ <any> excluded|out $ = exclude <any>
# What something becomes
^ <n> <any> is|are|would|will be? enough|fine|ok|okay|sufficient|plenty $ = at least <n> <any>
^ <n> is|are enough|sufficient|plenty $ = at least <n>
^ <any> so that it|they covers|cover|spans|span|includes|include <rest> = set the window to <rest>
^ cap|max it|this|that|them? out? at|to? <n> = set to at most <n>
^ <n> more|extra|additional $ = raise by <n>
^ <n> more|extra|additional <rest> = raise by <n> <rest>
^ <n> less|fewer $ = lower by <n>
^ <n> less|fewer <rest> = lower by <n> <rest>
^ only|just <any> matters|matter|counts|count $ = keep only <any>
^ <any> only $ = only <any>
^ more|something like <rest> = set to <rest>
^ not only|just <any> but also? <rest> = or <rest>
^ they|these|those|people|users|customers need|needs|require <n> <rest> = require <n> <rest>
^ they|these|those|people|users|customers need|needs|require at <rest> = require at <rest>
^ title|name :|= <rest> = rename to <rest>
^ the? name|title is|should be? <rest> = rename to <rest>
^ make|set it|this? both|all|each <rest> = set both to <rest>
^ <any> should|must|shall|needs|ought|has to? look|go|reach|cover|span|extend back|over|for? <rest> = change <any> to <rest>
^ look|go|reach back at|over|for? the? <rest> = set the window to <rest>
^ extend|stretch|expand|widen|limit|shorten it|this|that|them? to cover|include|span <rest> = set the window to <rest>
^ cover|span <rest> = set the window to <rest>
^ i|we meant|mean|want|wanted|would|need|prefer|like to? have|see|use|look|say at|it? <rest> = set to <rest>
^ make|have|get it|this|that|them? a? bit|little|lot|much? more|less? strict|stricter|tight|tighter|loose|looser|broad|broader|narrow|narrower|wide|wider|big|bigger|small|smaller|large|larger $ = tighten
^ make|set|have|let the? <any> be <rest> = change <any> to <rest>
^ it|this|that|they|these should|must|need|needs|has|have to? be|have <rest> = set to <rest>
^ they|these|those|people|users|customers should|must|need|have to? also|additionally have? <rest> = add that they <rest>
^ on top of that|this|it ,? <rest> = add that they <rest>
^ i|we only|just want|need|care|look about|for|at? <rest> = only <rest>
^ i|we am|are|is only|just interested in <rest> = only <rest>
^ whoever <rest> = anyone who <rest>
""")

_REMARK: Final = stems(
    "too low high many few much little small big large broad narrow long short strict loose wrong right sound look seem great good perfect nice change mind want "
    "need stricter looser tighter version audience list people segment draft number result enough reach better bigger smaller larger narrower broader group quite "
    "hm think fine idea same thanks excellent awesome super cool interesting hmm error mistake meant understand understood bad not still far bit bring give get "
    "surprise surprising expect expected match matching users customers members target campaign budget send plan well maybe make sense oh wow lot second thought "
    "thing final strange odd weird say said previous before correct close almost hope idea looks day week month hour year"
)  # fmt: skip
_AGAIN: Final = (
    ("so",), ("still",), ("same",), ("the", "same"), ("meaning",), ("i", "mean"), ("that", "is"), ("with", "the", "rest"), ("everything", "else"), ("the", "rest"),
    ("all", "else"), ("rest",), ("keep", "the"), ("otherwise",), ("leave", "the", "rest"), ("and", "leave"), ("nothing", "else"), ("the", "other"), ("ie",), ("i", ".", "e"),
    ("keep", "everything"), ("leave", "everything"), ("but", "keep"), ("but", "the", "rest"), ("and", "the", "rest"), ("and", "keep", "the"), ("unchanged",),
    ("and", "still"), ("but", "still"), ("as", "before"), ("because",), ("since", "we"), ("as", "we"), ("to", "reach"), ("for", "the"), ("in", "other", "words"), ("and", "nothing", "else"),
)  # fmt: skip


def reworded(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """One edit with its verb in front."""
    return rewritten(tokens, _EDITS)


def remarks(tokens: Sequence[Token]) -> bool:
    """Whether a part of a message asks for nothing: "that's too many people", "two hundred is too low"."""
    every = tuple(tokens)
    words = [token for token in every if token.kind != "sign"]
    measured = any(token.lower == "too" for token in words)
    if (
        logic_of(every)
        or (words and words[0].lower in {"make", "get", "have"})
        or not any(token.stem in _REMARK for token in words)
    ):
        return False
    return all(token.stem in _REMARK | NOISE or (measured and token.kind in {"number", "money"}) for token in words)


def repeats(tokens: Sequence[Token]) -> bool:
    """Whether a later part of a message only says again what stays or what was meant: "same 30 days", "so Spain or Portugal"."""
    every = tuple(tokens)
    return any(lowers(every, 0, len(words)) == words for words in _AGAIN)


_ANY: Final = {"any", "either", "or", "one"}
_EACH: Final = {"all", "both", "every", "and", "each"}
_ABOUT: Final = {"of", "condition", "conditions", "these", "those", "them", "enough", "match", "must", "hold", "require", "the", "is", "are", "be", "to", "true",
                 "apply", "logic", "matches", "should", "have", "at", "least", "two", "three", "it", "use", "can", "do", "rules", "criteria", "operator", "fine",
                 "required", "with", "filters", "they", "need", "a", "suffices", "will", "ok"}  # fmt: skip


def logic_of(tokens: Sequence[Token]) -> str:
    """AND or OR where the words say nothing else; else ""."""
    lowers = {token.lower for token in tokens if token.kind != "sign"}
    wanted = "OR" if lowers & _ANY and not lowers & _EACH else "AND" if lowers & _EACH and not lowers & _ANY else ""
    return wanted if lowers <= _ANY | _EACH | _ABOUT else ""
