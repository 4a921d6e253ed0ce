"""How Chinese utterances end, and how they trail off. Of plain texts: simplified, lower case."""

import re
from typing import Literal

from voice.ear.wording import table

# After these something has to come.
_CONNECTIVES = (
    "然后|接着|因为|所以|因此|因而|但是|可是|不过|而且|并且|况且|如果|要是|假如|虽然|尽管|即使|就算|"
    "既然|除非|除了|为了|由于|关于|对于|至于|或者|或者说|还是说|以及|另外|此外|比如|比如说|例如|譬如|"
    "就是说|还有就是|换句话说|总之|其实|首先|其次|于是|只是|的是|的时候|之所以|不仅|不但|与其|宁可|直到|"
    "自从|一边|甚至|特别是|尤其是|包括|导致|那么|不管|无论|只要|只有|一旦|每当|等到|否则|要不然|"
    "觉得|认为|我想|我希望|我以为|我发现|我猜|我怕|想说|是说|意思是|非常|有点|有点儿|越来越|稍微|"
    "和|跟|与|及|或|把|被|从|比|而|但|却|很|最|更|也|又|再|就|还|呃"
)
_OPEN = re.compile(f"(?:{_CONNECTIVES})$")
# "If you come": but 说的话, 我的话 are words.
_IN_CASE = re.compile(r"(?:(?:如果|要是|假如|万一).+|[来去有要想行走买做看吃对好多少])的话$")
# The same characters where they end a word that is whole.
_WHOLE = re.compile(
    r"(?:[温平随缓暖柔总饱共附祥谦]和|[高脚]跟|[参赠]与|(?:来得|来不|涉|普|埃|提|危|顾)及|"
    r"[一二两三四几那这每拖火个]把|棉被|[服听顺随]从|[对无相来评攀]比|[成将迁]就|[归偿]还|好不过|得很)$"
)
# By itself, or after a pause, it only keeps the floor.
_FILLERS = table(
    """
    那个|这个|那|这|就是|就是那个|嗯|额|呃|唔|怎么说|怎么说呢|那什么|还有|结果|后来|我|我们|他|
    她|他们|让我想想|我想想|等等啊
    """
)
_POINTING = re.compile(r"[那这]个$")
# "I want that one" against "he, er": what is pointed at follows a verb.
_POINTED_AT = re.compile(
    r"[要是为买选用看吃喝拿给欢爱想做去对在的换听读玩穿懂到过有点]了?[那这]个$"
)
_HESITATES = re.compile(r".[嗯呃唔]$")
# A particle after a connective only stretches it: 因为啊, 但是呢. But 然后呢 asks.
_STRETCHED = re.compile(
    r"(?P<word>.*)[啊呀嘛]$|(?P<but>.*(?:但是|不过|可是|因为|其实|那个|就是))呢$"
)
_CONDITION = re.compile(
    r"(?:那|那么|可是|但是|不过)?(?:如果|要是|假如|虽然|既然|即使|就算|只要|除非|尽管|每当|一旦)"
    r"(?P<rest>[^,，]{1,14})"
)
_CONSEQUENCE = re.compile(r"[就那则吗呢吧会能才也都还却可好行]|怎么|什么|谁|几")

_ANSWERS = table(
    """
    好|好的|好啊|好吧|行|可以|是|是的|是啊|对|对的|对啊|没错|不|不是|不要|不用|不行|不对|不会|
    不能|不想|没有|有|会|能|要|想|谢谢|谢谢你|再见|拜拜|你好|您好|早上好|晚上好|早安|晚安|
    不知道|随便|当然|当然可以|没事|没关系|对不起|停|停下|等一下|等等|算了|知道了|明白|明白了|
    懂了|嗯嗯|不客气|没问题|真的|都可以|都行|继续|请继续|开始吧|我知道|我不知道|我明白|也是|
    都是|也好
    """
)
_PARTICLE = re.compile(r"[吗呢吧呀啦嘛呗咯喽哟啊]$")
_PERFECT = re.compile(r"[^买去到看吃喝做写说见拿带找听学问用有了]了$")
_QUESTION = re.compile(
    r"(?:什么|怎么办|怎么样|怎样|如何|多少|多久|多大|多远|哪里|哪儿|哪个|谁|几点|几岁|为什么|干嘛|啥|"
    r"是不是|好不好|对不对|行不行|要不要|可不可以|什么时候|什么意思)$"
)
_EITHER = re.compile(r"(?:[那这]个|一[个种些位只条]|给|(?<![不就也都真还])是|[以之][前后])$")
_SHORT = 3  # characters: what is shorter, and no answer that we know, says little


def judge(said: str, spoken: list[str]) -> Literal["complete", "open", "unknown"] | None:
    """How a plain text ends whose last word is Chinese.

    Args:
        said: The text.
        spoken: Its words.

    Returns:
        None where only its marks can tell.
    """
    whole = re.sub(r"\W+$", "", said)
    clause = re.split(r"[^\w\s']", whole)[-1].replace(" ", "")
    if clause in _ANSWERS:
        return "complete"
    if _trails_off(clause, alone=clause == "".join(spoken)):
        return "open"
    if _only_a_condition(re.split(r"[.。!?]", whole)[-1].strip()):
        return "open"
    if _QUESTION.search(clause) or _PARTICLE.search(clause) or _PERFECT.search(clause):
        return "complete"
    if _EITHER.search(clause):
        return "unknown"
    return None if len(spoken) >= _SHORT else "unknown"


def _only_a_condition(sentence: str) -> bool:
    condition = _CONDITION.fullmatch(sentence)
    return condition is not None and not _CONSEQUENCE.search(condition["rest"])


def _trails_off(clause: str, *, alone: bool) -> bool:
    if clause == "嗯" and alone:
        return False  # an answer
    if clause in _FILLERS and not (alone and clause in ("我", "我们", "他", "她", "他们")):
        return True
    if _POINTING.search(clause) and not _POINTED_AT.search(clause):
        return True
    if _HESITATES.search(clause) and not clause.endswith("嗯嗯"):
        return True
    stretched = _STRETCHED.search(clause)
    if stretched and (word := stretched["word"] or stretched["but"]):
        clause = word
        if clause in _FILLERS or _POINTING.fullmatch(clause):
            return True
    if _IN_CASE.search(clause):
        return True
    return bool(_OPEN.search(clause)) and not _WHOLE.search(clause)
