"""The understudy's answer: what a character says when no language model speaks for it.

Everything it says comes from the card (example dialogue first, then lore and description),
from what the person said before, or from a table of courtesies, in this order of trust.
The same conversation always gets the same answer, and nothing is said twice while there is
something else to say.
"""

import re
import zlib
from dataclasses import replace
from typing import Final

from chat.llm.base import Persona, Prompt
from chat.llm.intents import intents, is_question, is_yes_no
from chat.llm.persona_voice import is_chinese, sentences, voice_of
from chat.llm.phrasebook import Phrasebook, plain
from chat.llm.recollection import Recollection, asked_kind, told
from chat.llm.reflection import reflect
from chat.llm.relevance import Relevance, terms

_FEELINGS: Final = ("tired", "heartbreak", "sad", "anxious", "angry", "lonely", "happy")
_COURTESIES: Final = ("thanks", "love", "compliment", "insult", "apology", "laugh")
# A courtesy says little about a topic: two messages that share one need not be alike.
_TOPICS: Final = frozenset(
    (*_FEELINGS, "career", "study", "lottery", "regret", "who", "farewell", "thanks", "crisis",
     "story", "joke", "love", "compliment")
)  # fmt: skip
_PASSING: Final = frozenset(("greeting", "ack", "more", *_COURTESIES, "farewell", "joke", "story"))

# What stands for the user's words where there are none: before the first word, and after one.
_ASKED: Final = (("你好", "Hello"), ("继续", "Go on"))


def reply(prompt: Prompt) -> str:
    """The character's next words.

    Args:
        prompt: The conversation; its last message of the user is answered, and where nobody
            waits for an answer the character begins or goes on. System messages are not
            read: the character comes from ``prompt.persona``.

    Raises:
        ValueError: There is no message of the user.
    """
    if not prompt.unasked and not any(message.role == "user" for message in prompt.messages):
        raise ValueError("a prompt without a message of the user cannot be answered")
    return _Reply(prompt).compose()


class _Reply:
    def __init__(self, prompt: Prompt) -> None:
        self.persona = prompt.persona or Persona(name="")
        heard = [message.content for message in prompt.messages if message.role == "user"]
        self.said = [m.content for m in prompt.messages if m.role == "assistant"]
        if prompt.unasked:
            english = self.persona.language.lower().startswith("en")
            heard.append(_ASKED[bool(self.said)][english])
        self.message, self.before = heard[-1].strip(), heard[:-1]
        self.voice = voice_of(replace(self.persona, lore=()))
        self.chinese = self._in_chinese()
        self.intents = intents(self.message)
        self.memory = Recollection(self.before)
        self.seed = zlib.crc32(f"{len(heard)}{self.message}".encode())
        self.book = Phrasebook(
            self.voice,
            name=self.persona.name,
            chinese=self.chinese,
            said=self.said,
            seed=self.seed,
        )

    def compose(self) -> str:
        if "crisis" in self.intents:
            # Whatever the character says, where to find help is said with it.
            own = self._example()
            helped = any(char.isdigit() for char in own)
            return own if helped else own + self.book.gap + self.book.phrase("crisis")
        for answer in (
            self._repeated, self._recall, self._told, self._example, self._opening, self._courtesy,
            self._continued, self._own_story, self._about_topic, self._feeling, self._question,
            self._small_talk, self._statement,
        ):  # fmt: skip
            text = answer()
            if text:
                return text
        return self.book.dressed(self.book.phrase("unknown"))

    # Answers, in order; each is empty when it does not fit.

    def _repeated(self) -> str:
        if len(self.message) < 4 or self.intents & {"ack", "laugh", "more", "thanks", "greeting"}:
            return ""
        if not any(plain(text) == plain(self.message) for text in self.before[-6:]):
            return ""
        return self.book.phrase("repeated")

    def _recall(self) -> str:
        kind = asked_kind(self.message)
        if kind == "anything":
            return self._recall_all()
        if kind:
            value = self.book.listed(self.memory.values(kind)[-3:])
            if kind not in ("like", "dislike"):
                value = self.memory.latest(kind)  # an update wins
            if kind == "name" and not value:
                value = self.persona.user_name
            if value:
                return self.book.phrase(f"recall_{kind}", value=value)
        elif not is_question(self.message):
            return ""
        said = self.memory.statement(self.message) or self._remembered()
        if said:
            return self.book.phrase("recall_said", said=self.book.quote(said))
        return self.book.phrase("recall_nothing") if kind else ""

    def _recall_all(self) -> str:
        facts = {fact.kind: fact.value for fact in self.memory.facts}
        if facts:
            return self.book.phrase("recall_all", facts=self.book.facts(facts))
        told_before = self._told_before()
        if told_before:
            return self.book.phrase("recall_said", said=self.book.quote(told_before[-1]))
        return self.book.phrase("recall_nothing")

    def _told_before(self) -> list[str]:
        """What the person has told that is worth coming back to."""
        return [
            text
            for text in self.before
            if not is_question(text) and 6 <= len(text) <= 60 and not intents(text) & _PASSING
        ]

    def _remembered(self) -> str:
        """What the context builder found about the person, if the question is about that."""
        about_person = ("我", "用户") if self.chinese else (" my ", " i ", "user")
        if not any(word in f" {self.message.lower()} " for word in about_person):
            return ""
        name = self.persona.user_name
        notes = [note for note in self.persona.lore if name and name in note]
        scores = Relevance(notes).scores(self.message)
        return notes[scores.index(max(scores))] if scores and max(scores) > 0.3 else ""

    def _told(self) -> str:
        facts = {fact.kind: fact.value for fact in told(self.message)}
        if not facts or self.intents & {*_FEELINGS, "farewell", "love"}:
            return ""
        name = facts.pop("name", "")
        facts.pop("plan", "")  # a plan is worth more than a nod: it is reflected
        asked = is_question(self.message)
        if not facts and not name:
            return ""
        if not facts and not asked:
            return self.book.phrase("name_told", value=name)
        parts = [self.book.phrase("name_nice", value=name)] if name else []
        if facts:
            kind, value = next(iter(facts.items()))
            unit = "岁" if self.chinese and kind == "age" else ""
            ask = "" if asked else self.book.phrase(f"ask_{kind}")
            parts.append(self.book.phrase("told", value=value + unit, ask=ask))
        if asked:
            about = self.book.one_fresh(self.voice.volunteered)
            parts.append(
                self.book.phrase("volunteer", about=about) if about else self.book.phrase("how")
            )
        return self.book.gap.join(parts)

    def _example(self) -> str:
        """The answer of the example dialogue whose question is most like the message."""
        pairs = [
            (asked, answer)
            for asked, answer in self.persona.examples
            if is_chinese(answer) == self.chinese
            and not self.book.was_said(answer)
            and ("crisis" in intents(asked)) == ("crisis" in self.intents)
        ]
        overlaps = Relevance([asked for asked, _ in pairs]).overlaps(self.message)
        best, found = 0.0, ""
        for (asked, answer), overlap in zip(pairs, overlaps, strict=True):
            mine, theirs = self.intents & _TOPICS, intents(asked) & _TOPICS
            shared = len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0
            score = overlap + 0.6 * shared
            if is_question(asked) != is_question(self.message):
                score *= 0.6
            if score > best:
                best, found = score, answer
        return found if best >= 0.4 else ""

    def _opening(self) -> str:
        if "greeting" not in self.intents:
            return ""
        greeting = self.persona.greeting
        if not self.said and greeting and is_chinese(greeting) == self.chinese:
            return greeting
        return self.book.phrase("greeting")

    def _courtesy(self) -> str:
        if "robot" in self.intents:
            return self.book.phrase("robot")
        if "who" in self.intents:
            about = "".join(self.book.fitting(self.voice.volunteered)[:1])
            return self.book.phrase("who", about=about)
        for kind in (
            "farewell",
            "joke",
            "lottery",
            "birthday",
            "favour",
            "time",
            "how",
            *_COURTESIES,
        ):
            if kind in self.intents:
                return self.book.dressed(self.book.phrase(kind))
        return ""

    def _continued(self) -> str:
        if "more" not in self.intents or not self.said:
            return ""
        last = self.said[-1]
        answers = [answer for _, answer in self.persona.examples]
        if last in answers[:-1]:
            following = answers[answers.index(last) + 1]
            if not self.book.was_said(following) and is_chinese(following) == self.chinese:
                return following
        for passage in [*self._lore(), self.book.fitting(self.voice.past)]:
            rest = self.book.fresh(passage)
            if rest and any(part in last for part in passage):
                return self.book.phrase("more", lore=self.book.gap.join(rest[:2]))
        return self.book.phrase("no_more")

    def _own_story(self) -> str:
        if "story" not in self.intents:
            return ""
        for passage in [*self._lore(), self.book.fitting(self.voice.past)]:
            fresh = self.book.fresh(passage)
            if fresh:
                return self.book.phrase("story", lore=self.book.gap.join(fresh[:3]))
        return self.book.phrase("story_none")

    def _about_topic(self) -> str:
        """A passage of the lore or the card that fits a question."""
        if not is_question(self.message):
            return ""
        about_me = "你" in self.message or " you" in self.message.lower()
        # "What do you fear?" is one character in Chinese: then single ones count.
        short = all(len(term) == 1 for term in terms(self.message))
        # The context builder has already chosen the lore for this turn.
        for passages, least in ((self._lore(), 0.12), (self._card(), 0.2 if about_me else 0.38)):
            parts = [(part, passage) for passage in passages for part in passage]
            scores = Relevance([part for part, _ in parts], single=short).scores(self.message)
            for index in sorted(range(len(parts)), key=lambda i: -scores[i])[:3]:
                part, passage = parts[index]
                if scores[index] < least:
                    break
                if not self.book.was_said(part):
                    after = passage[passage.index(part) + 1 :][: 1 if len(part) < 60 else 0]
                    told_now = [part, *(line for line in after if not self.book.was_said(line))]
                    lore = self.book.phrase("lore", lore=self.book.gap.join(told_now))
                    return lore + self.book.gap + self.book.phrase("lore_ask")
        return ""

    def _feeling(self) -> str:
        for kind in _FEELINGS:
            if kind in self.intents and "你" not in self.message[:2]:
                return self.book.dressed(self.book.phrase(kind))
        return ""

    def _question(self) -> str:
        for kind in ("advice", "opinion"):
            if kind in self.intents:
                return self.book.dressed(self.book.phrase(kind))
        if not is_question(self.message):
            return ""
        lowered = self.message.lower()
        if is_yes_no(self.message):
            kind = "yes_no"
        elif "为什么" in lowered or "为何" in lowered or lowered.startswith("why"):
            kind = "why"
        elif "你" in lowered or re.search(r"\byour?\b", lowered):
            kind = "own"
        else:
            kind = "question"
        return self.book.dressed(self.book.phrase(kind))

    def _small_talk(self) -> str:
        """A short nod: ask about something told before, or tell something of one's own."""
        if "ack" not in self.intents and len(self.message) > 3:
            return ""
        told_before = [text for text in self._told_before() if not self.book.was_said(text)]
        if told_before and self.seed % 2:
            return self.book.phrase("ack_fact", said=self.book.quote(told_before[-1]))
        about = self.book.one_fresh(self.voice.volunteered)
        if about and self.seed % 3:
            turn_back = self.book.phrase("turn_back")
            return self.book.phrase("volunteer", about=about) + self.book.gap + turn_back
        return self.book.dressed(self.book.phrase("ack"))

    def _statement(self) -> str:
        reflected = reflect(self.message, you=self.book.you, me=self.book.me)
        if reflected is None:
            return ""
        return self.book.dressed(self.book.phrase(f"echo_{reflected.kind}", echo=reflected.text))

    # Material and its dressing.

    def _in_chinese(self) -> bool:
        if is_chinese(self.message):
            return True
        if any(char.isascii() and char.isalpha() for char in self.message):
            return False
        return not self.persona.language.lower().startswith("en")

    def _lore(self) -> list[list[str]]:
        """The lore, a list of sentences each, as the character tells it."""
        found = []
        for text in self.persona.lore:
            own = self.voice.first_person(text) if self.persona.name in text else text
            if self.persona.user_name:
                own = own.replace(self.persona.user_name, self.book.you)
            found.append(sentences(own))
        return [passage for passage in found if self.book.fitting(passage)]

    def _card(self) -> list[list[str]]:
        return [[line] for line in self.book.fitting(self.voice.about)]
