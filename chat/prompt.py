"""What the model reads: the character first, then the summary, then what was said.

The part that stays the same from turn to turn comes first and is byte-stable, so that
providers' prompt caches hit; what changes each turn (lore) comes last.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chat.llm.base import Author, Persona, Prompt, PromptMessage, Tool
from chat.llm.tokens import estimate_message, estimate_tokens
from roles.lorebook import fitting_entries
from roles.models import Language, Role

_LORE_TOKENS = 500
_LORE_DEPTH = 3  # newest messages that are searched, besides the user's own
_MESSAGE_TOKENS = 4  # what a message's frame costs


@dataclass(frozen=True, slots=True)
class _Words:
    """The fixed phrases of a prompt, in one language."""

    opening: str
    facts: str
    personality: str
    scenario: str
    rules: str
    examples: str
    summary: str
    lore: str
    begin: str
    go_on: str


_WORDS = {
    Language.CHINESE: _Words(
        opening="你就是{char}，正在与{user}交谈。自始至终以{char}的身份说话。",
        facts="# 你是谁\n{description}\n（性别：{gender}；年龄：{age}）",
        personality="# 性格",
        scenario="# 此时此地",
        rules=(
            "# 规矩\n"
            "- 只写{char}要说的话，不替{user}说话，不写旁白式的分析。\n"
            "- 像当面说话：口语，短句，一般不超过四句；除非对方要你细讲。\n"
            "- 动作神态偶尔写在（）里，不用列表、标题和表情符号。\n"
            "- 记得之前说过的事，不自相矛盾；不知道的就按{char}的口吻说不知道。\n"
            "- 不跳出角色；对方用哪种语言，就用哪种语言回答。"
        ),
        examples="# 说话的样子",
        summary="# 之前谈过的事\n",
        lore="# 与眼下话题有关的事\n",
        begin="（{user}在听，还没有说话。请{char}先开口，一两句即可。）",
        go_on="（请{char}从刚才停下的地方接着说完，不要重复已经说过的话。）",
    ),
    Language.ENGLISH: _Words(
        opening="You are {char}, talking with {user}. Speak as {char} from first to last.",
        facts="# Who you are\n{description}\n(Gender: {gender}; age: {age})",
        personality="# Personality",
        scenario="# Here and now",
        rules=(
            "# Rules\n"
            "- Write only what {char} says. Never speak for {user}, never analyse.\n"
            "- Talk as one does face to face: plain, short sentences, four at most unless"
            " asked for more.\n"
            "- A gesture now and then, between asterisks; no lists, headings or emoji.\n"
            "- Remember what was said and do not contradict it; what {char} cannot know,"
            " {char} does not know.\n"
            "- Never step out of the role. Answer in the language the other one uses."
        ),
        examples="# How you talk",
        summary="# What was talked about before\n",
        lore="# What bears on this topic\n",
        begin="({user} is listening and has not said anything. {char} speaks first, in a sentence"
        " or two.)",
        go_on="({char} goes on from where the last words stopped, without repeating them.)",
    ),
}


_CHAR = re.compile(r"\{\{char\}\}|<char>|<bot>", re.IGNORECASE)
_USER = re.compile(r"\{\{user\}\}|<user>", re.IGNORECASE)


def fill_macros(text: str, *, char: str, user: str) -> str:
    """``{{char}}`` and ``{{user}}`` (also ``<char>``, ``<bot>``, ``<user>``), in any case."""
    # Most texts have none, and a search without regard to case is slow on long ones.
    if "{{" not in text and "<" not in text:
        return text
    return _USER.sub(lambda _: user, _CHAR.sub(lambda _: char, text))


class PromptBuilder:
    """Builds the prompt of one turn, as soon as it is known what the user said.

    Args:
        role: The character.
        user_name: What the character may call the user.
        summary: Of what was said before the history; empty where there is none.
        history: (author, text) of what was said since, oldest first.
        budget: Tokens the whole prompt may take. The history is cut from its old end;
            the character and what the user says now always stay.
    """

    def __init__(
        self,
        *,
        role: Role,
        user_name: str,
        summary: str,
        history: Sequence[tuple[str, str]],
        budget: int,
    ) -> None:
        self._role = role
        self._user_name = user_name
        self._summary = summary
        self._history = history
        self._budget = budget
        self._words = _WORDS[Language(role.language)]

    def build(self, said: str) -> Prompt:
        """The prompt, with what the user says now as its last message."""
        fixed = [PromptMessage("system", self.character())]
        if self._summary:
            fixed.append(PromptMessage("system", self._words.summary + self._summary))
        recent = [text for _author, text in self._history[-_LORE_DEPTH:]]
        lore = self._lore([*recent, said])
        last = [*lore.messages, PromptMessage("user", said)]
        room = self._budget - sum(map(_cost, [*fixed, *last]))
        history = _fitting([*map(_of_history, self._history)], room)
        return Prompt((*fixed, *history, *last), self._persona(lore.entries))

    def build_talk(
        self,
        messages: Sequence[PromptMessage],
        *,
        instructions: str = "",
        tools: tuple[Tool, ...] = (),
        tool_choice: str = "auto",
        replace: bool = False,
    ) -> Prompt:
        """The prompt of a reply in a talk that the client has a hand in.

        Where nobody waits for an answer, a last line asks the character to speak first, or
        to go on with what it was saying. Takes some ms for a long talk: call it in a thread.

        Args:
            messages: What was said since the history, oldest first; outputs of functions
                stand behind their calls. Cut from the old end, after the history.
            instructions: Of the client: stand behind the character.
            tools: What the model may call.
            tool_choice: As in ``Prompt``.
            replace: The instructions, where there are any, stand in place of the character.
        """
        system = [] if replace and instructions else [self.character()]
        system += [instructions] if instructions else []
        system += [self._words.summary + self._summary] if self._summary else []
        fixed = [PromptMessage("system", text) for text in system]
        said = [*map(_of_history, self._history), *messages]
        texts = [message.content for message in said if message.role in ("user", "assistant")]
        lore = self._lore(texts[-_LORE_DEPTH - 1 :])
        last = self._cue(messages)
        room = self._budget - sum(map(_cost, [*fixed, *lore.messages, *last]))
        talk = _fitting(said, room - sum(map(_cost_of_tool, tools)), always=bool(messages))
        place = max((i for i, each in enumerate(talk) if each.role == "user"), default=len(talk))
        talk[place:place] = lore.messages
        return Prompt((*fixed, *talk, *last), self._persona(lore.entries), tools, tool_choice)

    def character(self) -> str:
        """Who the character is and how it talks: the same text from turn to turn."""
        role, words = self._role, self._words
        names = {"char": role.name, "user": self._user_name}
        parts = [
            words.opening.format(**names),
            words.facts.format(
                description=self._fill(role.description), gender=role.gender, age=role.age
            ),
        ]
        for heading, text in (
            (words.personality, role.personality),
            (words.scenario, role.scenario),
            (words.examples, role.example_dialogue.replace("<START>", "")),
        ):
            if text.strip():
                parts.append(f"{heading}\n{self._fill(text)}")
        parts.append(words.rules.format(**names))
        return "\n\n".join(parts)

    def _lore(self, texts: list[str]) -> "_Lore":
        """What bears on ``texts``, the newest last."""
        found = fitting_entries(
            self._role.lorebook, texts, budget=_LORE_TOKENS, count=estimate_tokens
        )
        entries = [self._fill(entry) for entry in found]
        lines = [PromptMessage("system", self._words.lore + "\n".join(entries))] if entries else []
        return _Lore(entries, lines)

    def _cue(self, messages: Sequence[PromptMessage]) -> list[PromptMessage]:
        """What has the character speak where the last word is not the user's."""
        last = messages[-1].role if messages else None
        if last in ("user", "tool", "system"):
            return []
        line = self._words.go_on if last == "assistant" else self._words.begin
        return [PromptMessage("system", line.format(char=self._role.name, user=self._user_name))]

    def _fill(self, text: str) -> str:
        return fill_macros(text, char=self._role.name, user=self._user_name).strip()

    def _persona(self, lore: list[str]) -> Persona:
        role = self._role
        return Persona(
            name=role.name,
            user_name=self._user_name,
            language=role.language,
            description=self._fill(role.description),
            personality=self._fill(role.personality),
            scenario=self._fill(role.scenario),
            greeting=self._fill(role.greeting),
            examples=example_pairs(self._fill(role.example_dialogue), self._user_name, role.name),
            lore=tuple(lore),
        )


def example_pairs(dialogue: str, user: str, char: str) -> tuple[tuple[str, str], ...]:
    """Pairs of question and answer from ``user:`` / ``char:`` lines.

    A line without a name belongs to the speech above it.
    """
    pairs: list[tuple[str, str]] = []
    speeches: list[tuple[str, str]] = []
    for line in dialogue.splitlines():
        line = line.strip()
        if not line or line.upper() == "<START>":
            continue
        name, separator, speech = line.replace("：", ":", 1).partition(":")
        if separator and name.strip() in (user, char):
            speeches.append((name.strip(), speech.strip()))
        elif speeches:
            speeches[-1] = (speeches[-1][0], f"{speeches[-1][1]}\n{line}")
    for (asker, question), (answerer, answer) in pairwise(speeches):
        if asker == user and answerer == char:
            pairs.append((question, answer))
    return tuple(pairs)


def character_prompt(role: Role, user_name: str) -> str:
    """What the model reads of a character, whatever is said."""
    return PromptBuilder(
        role=role, user_name=user_name, summary="", history=(), budget=0
    ).character()


@dataclass(frozen=True, slots=True)
class _Lore:
    """Facts that fit a topic, and how the model is told them."""

    entries: list[str]
    messages: list[PromptMessage]


def _of_history(said: tuple[str, str]) -> PromptMessage:
    author, text = said
    role: Author = "user" if author == "user" else "assistant"
    return PromptMessage(role, text)


def _fitting(
    messages: Sequence[PromptMessage], room: int, *, always: bool = False
) -> list[PromptMessage]:
    """The newest messages that fit into so many tokens; outputs stay with their calls.

    Args:
        messages: Oldest first.
        room: Tokens.
        always: The newest stays, however long it is.
    """
    kept: list[PromptMessage] = []
    outputs: list[PromptMessage] = []
    for message in reversed(messages):
        room -= _cost(message)
        if room < 0 and not (always and not kept):
            break
        outputs.append(message)
        if message.role != "tool":
            kept += outputs
            outputs = []
    return kept[::-1]


def _cost(message: PromptMessage) -> int:
    return estimate_message(message) + _MESSAGE_TOKENS


def _cost_of_tool(tool: Tool) -> int:
    schema = json.dumps(dict(tool.parameters), ensure_ascii=False)
    return estimate_tokens(f"{tool.name} {tool.description} {schema}") + _MESSAGE_TOKENS
