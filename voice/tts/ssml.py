"""Which texts are markup (SSML), and what they say without it.

Tags as CosyVoice takes them:
https://help.aliyun.com/zh/model-studio/introduction-to-cosyvoice-ssml-markup-language
"""

import html
import re
from dataclasses import dataclass
from xml.parsers import expat

# Tags and their attributes. Left out on purpose: soundEvent and the background music of
# speak, which would have the service fetch an address of the writer's choice, and the voice
# of speak, as who speaks is not the text's affair.
_ALLOWED: dict[str, frozenset[str]] = {
    "speak": frozenset({"rate", "pitch", "volume", "effect", "effectValue"}),
    "break": frozenset({"time"}),
    "sub": frozenset({"alias"}),
    "phoneme": frozenset({"alphabet", "ph"}),
    "say-as": frozenset({"interpret-as"}),
}
_SPEAK = re.compile(r"\s*(<\?xml[^>]*\?>\s*)?<speak[\s>/]", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Markup:
    """A text that claims to be SSML.

    Attributes:
        ssml: The document; empty where it is not well-formed or has a tag or an attribute
            that is not allowed: then ``plain`` is to be spoken.
        plain: What it says, without markup.
    """

    ssml: str
    plain: str


def parse(text: str) -> Markup | None:
    """What ``text`` is as markup; None where it does not claim to be any."""
    if not _SPEAK.match(text):
        return None
    reader = _Reader()
    try:
        reader.read(text)
    except (expat.ExpatError, ValueError):
        bare = html.unescape(_TAG.sub(" ", text))
        return Markup("", _SPACE.sub(" ", bare).strip())
    return Markup(text.strip(), _SPACE.sub(" ", "".join(reader.said)).strip())


class _Reader:
    """Walks through a document and stops at what is not allowed."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._replaced = 0  # depth within a <sub>, whose alias is said instead
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> None:
        """Raises ExpatError where it is not well-formed, ValueError where not allowed."""
        self._parser.Parse(text.strip(), True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        allowed = _ALLOWED.get(name)
        if allowed is None or not allowed >= attributes.keys():
            raise ValueError(f"<{name}> or an attribute of it is not allowed")
        if (name == "speak") != (self._depth == 0):
            raise ValueError("<speak> is the root, and nothing else is")
        self._depth += 1
        if name == "break":
            self.said.append(" ")
        if self._replaced or name == "sub":
            if not self._replaced:
                self.said.append(attributes.get("alias", ""))
            self._replaced += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._replaced:
            self._replaced -= 1

    def _text(self, text: str) -> None:
        if not self._replaced:
            self.said.append(text)

    def _doctype(self, *_: object) -> None:
        raise ValueError("no document type: its entities could grow without end")
