"""What a person has said about himself or herself earlier in the talk."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chat.llm.intents import is_question
from chat.llm.relevance import Relevance, terms

_END = r"(?=[，。！？、；,.!?;~\s]|$)"
_TOLD: Final[tuple[tuple[str, str], ...]] = (
    (
        "name",
        r"(?:我的名字(?:叫|是)|我名?叫|叫我)做?([\u4e00-\u9fff]{1,4}?|[A-Za-z]{2,20})(?=吧|就|好了"
        r"|[，。！、,.!\s]|$)",
    ),
    (
        "name",
        r"\b(?:my name(?:'s| is)|call me|i am called"
        r"|i'm called)\s+((?-i:[A-Z][\w'-]*(?: [A-Z][\w'-]*)?)|[a-z]+$)",
    ),
    ("name", r"^(?:hi|hello|hey)?[,!. ]*(?:i'm|i am)\s+((?-i:[A-Z][a-z]+))" + _END),
    (
        "dislike",
        r"我(?:最|很|特别|一直)*(?:不(?:太|怎么)?喜欢|不爱|讨厌"
        r"|最怕)([^，。！？；,.!?;我你]{1,12})",
    ),
    (
        "dislike",
        r"\bi (?:really |absolutely )?(?:hate|dislike|can't stand"
        r"|don't like)\s+([^,.!?;]{2,40})",
    ),
    (
        "like",
        r"我(?:最|很|特别|非常|比较|还|也|平时|从小|一直|就)*(?:喜欢|爱)(?!上"
        r"|的人)([^，。！？；,.!?;你]{1,12})",
    ),
    ("like", r"我最?(?:喜欢|爱)的[^，。！？是]{1,6}是([^，。！？；,.!?;]{1,12})"),
    (
        "like",
        r"\bi (?:really |also |just |absolutely )?(?:like|love|enjoy"
        r"|adore)\s+(?!you\b)([^,.!?;]{2,40})",
    ),
    ("like", r"\bmy favou?rite [\w ]{2,20} (?:is|are)\s+([^,.!?;]{2,40})"),
    (
        "job",
        r"我(?:现在)?是(?:一?[名个位])?([^，。！？我你]{0,7}(?:老师|教师|医生|律师|工程师"
        r"|设计师|程序员|学生|护士|警察|司机|作家|编辑"
        r"|教授|经理|会计|厨师|演员|画家|记者|公务员|研究生|销售|农民))",
    ),
    ("job", r"我在([^，。！？我你]{1,12}?)(?:工作|上班|上学|读书|教书)"),
    (
        "job",
        r"\bi(?:'m| am) an? ((?:[\w-]+ )?(?:teacher|doctor|lawyer|engineer|designer"
        r"|programmer|developer|student|nurse|writer|editor|professor|manager|accountant|cook"
        r"|chef|actor|painter|journalist|driver|farmer|reporter|librarian|baker))\b",
    ),
    ("job", r"\bi work (?:as an? |at an? |at |in an? |in |for )([^,.!?;]{2,40})"),
    ("home", r"我(?:现在)?(?:住在|来自|家在|老家在|家住)([^，。！？；我你]{1,10})"),
    ("home", r"我是([\u4e00-\u9fff]{2,5})人" + _END),
    ("home", r"\bi(?:'m| am)? (?:live in|living in|come from|from)\s+([^,.!?;]{2,30})"),
    (
        "pet",
        r"(?:养|有)(?:了|着|过)?(?:一|两|三)?[只条头匹][^，,叫]{1,6}[，,]?(?:它|他"
        r"|她)?(?:名字)?叫做?([^，。！？,.!?的]{1,6})",
    ),
    ("pet", r"\bi have an? [\w ]{2,20}? (?:named|called)\s+([A-Za-z]+)"),
    ("age", r"(?:我|今年)(?:今年)?(?:已经|快)?([0-9]{1,3}|[一二三四五六七八九十]{1,3})岁"),
    ("age", r"\bi(?:'m| am) (\d{1,3})(?: years old)?" + _END),
    (
        "plan",
        r"我(?:很|一直|真的)?(?:想要?|打算|准备|计划|决定)((?!你|死"
        r"|哭)[^，。！？；,.!?;你]{2,14})",
    ),
    (
        "plan",
        r"\bi(?:'m| am)? (?:want to|would like to|plan to|planning to|going to"
        r"|hope to)\s+([^,.!?;]{3,40})",
    ),
)
_ASKED: Final[tuple[tuple[str, str], ...]] = (
    (
        "name",
        r"我(?:的名字)?(?:叫|是)(?:什么|啥|谁)|我的名字是|(?:记得|知道|忘了?)我(?:的名字|叫"
        r"|是谁)|what(?:'s| is"
        r"| was) my name|who am i|(?:remember|know) my name",
    ),
    (
        "dislike",
        r"我(?:最)?(?:不喜欢|讨厌|怕)(?:什么|啥|谁)|what (?:do|did) i (?:hate|dislike)"
        r"|what don't i like",
    ),
    (
        "like",
        r"我(?:最|平时|还)?(?:喜欢|爱)(?:.{0,2}(?:什么|啥|谁))|我的爱好|what (?:do"
        r"|did) i (?:say i )?(?:like|love|enjoy)|my (?:hobby|hobbies|favou?rite)",
    ),
    (
        "job",
        r"我(?:是)?(?:做|干)什么(?:工作)?的?|我的(?:工作|职业)是?|我在哪(?:里|儿)?(?:工作"
        r"|上班|上学)|what (?:do i do"
        r"|is my job)|where do i work",
    ),
    (
        "home",
        r"我(?:住|家|老家)在?哪|我(?:是|来自)哪|我的(?:家乡|老家)|where (?:do i live|am i from)",
    ),
    (
        "pet",
        r"我(?:的|家|那只|养的)?.{0,3}(?:猫|狗|宠物|鸟|兔子|仓鼠|乌龟|鱼|马).{0,3}叫什么"
        r"|name of my (?:cat|dog"
        r"|pet|horse|bird|rabbit)|my (?:cat|dog|pet|horse|bird|rabbit)(?:'s name| called"
        r"| named)",
    ),
    ("age", r"我(?:今年)?(?:多大|几岁)|how old am i|my age"),
    (
        "plan",
        r"我(?:刚才|之前|方才)?(?:想|打算|准备|计划)(?:做|干)?(?:什么|啥)|what (?:do"
        r"|did) i (?:want|plan)",
    ),
)
_TELLING: Final = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _TOLD)
_ASKING: Final = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _ASKED)
_ANYTHING = re.compile(
    r"(?:记得|记住|知道|忘了?)(?:我|吗).{0,8}(?:什么|哪些|多少|说过|事)|我(?:都)?(?:说过"
    r"|告诉过你)(?:什么|哪些)"
    r"|还记得(?:我|吗)|what do you (?:know|remember) about me|do you remember(?: me| what i)?"
    r"|what (?:have|did) i (?:told|tell|say|said)",
    re.IGNORECASE,
)
_ABOUT_ME = re.compile(r"我|\b(?:my|i|me)\b", re.IGNORECASE)
# "I like chess, and you?" tells something and asks something.
_SENTENCE = re.compile(
    r"(?:(?![，,]\s*(?:你|您|and you|what about you))[^。！？!?\n；;])+[。！？!?\n；;，,]*"
)
_PARTICLES = re.compile(r"[了的吧啊呀呢哦喔啦]+$")


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a person told.

    Attributes:
        kind: ``name``, ``like``, ``dislike``, ``job``, ``home``, ``pet``, ``age`` or ``plan``.
        value: What was told, in the person's own words.
    """

    kind: str
    value: str


def told(message: str) -> list[Fact]:
    """The facts a message tells about its author; none for a question."""
    facts: dict[str, Fact] = {}
    for sentence in _SENTENCE.findall(message):
        if is_question(sentence):
            continue
        for kind, pattern in _TELLING:
            match = pattern.search(sentence.strip())
            value = _PARTICLES.sub("", match[1].strip()) if match else ""
            if kind == "name" and value.islower():
                value = value.title()
            if value:
                facts.setdefault(kind, Fact(kind, value))
    return list(facts.values())


class Recollection:
    """Everything a person said before, ready to be asked about.

    Args:
        messages: The person's earlier messages, oldest first.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        self._messages = list(messages)
        self.facts = [fact for message in messages for fact in told(message)]

    def latest(self, kind: str) -> str:
        """The newest value of a kind, empty if it was never told."""
        return next((fact.value for fact in reversed(self.facts) if fact.kind == kind), "")

    def values(self, kind: str) -> list[str]:
        """Every value of a kind, oldest first, each once."""
        return list(dict.fromkeys(fact.value for fact in self.facts if fact.kind == kind))

    def statement(self, question: str) -> str:
        """The earlier statement that best answers a question, or nothing."""
        said = [text for text in self._messages if not is_question(text)]
        scores = Relevance(said, single=True).scores(question)
        best = max(scores, default=0.0)
        # Without "I" or "my" the question may be about anything: then it must fit closely,
        # and by more than a single character.
        about_me = bool(_ABOUT_ME.search(question))
        if best < (0.25 if about_me else 0.5):
            return ""
        newest_first = zip(reversed(said), reversed(scores), strict=True)
        found = next(text for text, score in newest_first if score == best)  # an update wins
        shared = terms(question).keys() & terms(found).keys()
        return found if about_me or any(len(term) > 1 for term in shared) else ""


def asked_kind(message: str) -> str:
    """Which kind of fact about oneself is asked for; ``anything``, or empty for none."""
    for kind, pattern in _ASKING:
        if pattern.search(message):
            return kind
    return "anything" if _ANYTHING.search(message) else ""
