"""The items of a conversation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from realtime.errors import invalid, missing, unsupported
from realtime.fields import Fields
from realtime.spoken import Spoken

Kind = Literal["message", "function_call", "function_call_output"]
Role = Literal["user", "assistant", "system"]
Status = Literal["in_progress", "completed", "incomplete"]
PartKind = Literal["input_text", "input_audio", "output_text", "output_audio"]

LONGEST_TEXT = 200_000  # characters of one field
MOST_PARTS = 64

# What clients write for each role; both dialects' names, and those that are mixed up.
_TEXTS = ("input_text", "output_text", "text")
_AUDIOS = ("input_audio", "output_audio", "audio")


@dataclass(slots=True)
class Part:
    """A part of a message's content.

    Attributes:
        kind: In GA's words.
        text: Written, or the transcript; None where it is audio that nobody has
            understood yet.
        audio: Base64 as the client sent it, until it is decoded and taken out.
    """

    kind: PartKind
    text: str | None = None
    audio: str | None = field(default=None, repr=False)

    def render(self, audio: str | None = None) -> dict[str, Any]:
        """The part as an item shows it.

        Args:
            audio: Base64, for ``conversation.item.retrieved`` alone.
        """
        if self.kind in ("input_text", "output_text"):
            return {"type": self.kind, "text": self.text or ""}
        # A transcript may be null where it is not there yet, but not in what we said.
        transcript = self.text if self.kind == "input_audio" else self.text or ""
        shown: dict[str, Any] = {"type": self.kind, "transcript": transcript}
        return shown if audio is None else {**shown, "audio": audio}


@dataclass(slots=True)
class Item:
    """One item; it changes while it is made, heard and cut.

    Attributes:
        id: Its own.
        kind: ``type`` of the protocol.
        role: Of a message; None of others.
        status: See the protocol.
        content: Of a message. Append to it when ``response.content_part.added`` is sent.
        call_id: Links a call with its output.
        name: Of the called function.
        arguments: JSON as the model wrote it.
        output: Of the function.
        spoken: What was said aloud of a reply, and when; None of all others.
    """

    id: str
    kind: Kind = "message"
    role: Role | None = None
    status: Status = "completed"
    content: list[Part] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    spoken: Spoken | None = None

    @classmethod
    def typed(cls, item_id: str, role: Role, text: str) -> "Item":
        """A message in text."""
        kind: PartKind = "output_text" if role == "assistant" else "input_text"
        return cls(item_id, role=role, content=[Part(kind, text)])

    @classmethod
    def heard(cls, item_id: str, transcript: str | None = None) -> "Item":
        """What the user said; not understood yet where there is no transcript."""
        return cls(item_id, role="user", content=[Part("input_audio", transcript)])

    @classmethod
    def reply(cls, item_id: str, *, aloud: bool) -> "Item":
        """A reply that begins: in progress, without content."""
        return cls(
            item_id, role="assistant", status="in_progress", spoken=Spoken() if aloud else None
        )

    @classmethod
    def call(cls, item_id: str, call_id: str, name: str) -> "Item":
        """A function call that begins."""
        return cls(item_id, "function_call", status="in_progress", call_id=call_id, name=name)

    @classmethod
    def parse(cls, item: object, new_id: Callable[[str], str], *, path: str = "item") -> "Item":
        """The ``item`` of a ``conversation.item.create``.

        Both dialects' names of content are taken, whoever's role it is. Audio is kept as it
        came: see `Part.audio`.

        Args:
            item: As the client sent it.
            new_id: Makes an id where the client gave none: ``new_id("item")``.
            path: For errors.

        Raises:
            ProtocolError: ``invalid_value``, ``missing_required_parameter``,
                ``unsupported_value``.
        """
        fields = Fields(item, path)
        if fields.get("type") is None:
            raise missing(fields.at("type"))
        kinds: tuple[Kind, ...] = ("message", "function_call", "function_call_output")
        kind = fields.choice("type", kinds, default="message")
        item_id = fields.identifier("id", default="") or new_id("item")
        if kind == "message":
            return _parse_message(item_id, fields)
        parsed = cls(item_id, kind)
        if kind == "function_call_output":
            parsed.call_id = fields.identifier("call_id")
            parsed.output = fields.text("output", longest=LONGEST_TEXT)
        else:
            parsed.call_id = fields.identifier("call_id", default="") or new_id("call")
            parsed.name = fields.identifier("name")
            parsed.arguments = fields.text("arguments", longest=LONGEST_TEXT, default="")
        return parsed

    def render(self, audio: str | None = None) -> dict[str, Any]:
        """The item as events show it, in GA's words; what it does not have is left out.

        Args:
            audio: Base64 of its audio, for ``conversation.item.retrieved`` alone.
        """
        shown: dict[str, Any] = {
            "id": self.id,
            "object": "realtime.item",
            "type": self.kind,
            "status": self.status,
        }
        if self.kind == "message":
            content = [part.render(audio if _is_audio(part) else None) for part in self.content]
            return {**shown, "role": self.role, "content": content}
        if self.kind == "function_call_output":
            return {**shown, "call_id": self.call_id, "output": self.output}
        return {
            **shown,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": self.arguments,
        }

    @property
    def text(self) -> str:
        """What a message says: written, or understood of what was spoken; else empty."""
        return "\n".join(part.text for part in self.content if part.text)

    @property
    def length(self) -> int:
        """Characters of all that it holds, but for audio."""
        texts = [part.text or "" for part in self.content]
        return sum(map(len, (*texts, self.arguments, self.output)))

    @property
    def prompt_text(self) -> str:
        """What the model is told that it says: of a reply that was cut, what was heard."""
        return self.text if self.spoken is None else self.spoken.prompt_text

    @property
    def understood(self) -> bool:
        """Whether nothing of it still waits for a transcript."""
        return all(part.text is not None for part in self.content)

    def show_transcript(self) -> None:
        """Let the content of a spoken reply show what ``spoken`` says was heard."""
        for part in self.content:
            if part.kind == "output_audio" and self.spoken is not None:
                part.text = self.spoken.heard_text

    def cut(self, audio_end_ms: int) -> None:
        """Keep what was heard until then, always of the whole; later cuts may keep more.

        Raises:
            ValueError: Nothing of it was spoken.
        """
        if self.spoken is None:
            raise ValueError("only what was spoken can be cut")
        self.spoken.cut(audio_end_ms)
        self.show_transcript()
        if self.status == "completed":
            self.status = "incomplete"


def _is_audio(part: Part) -> bool:
    return part.kind in ("input_audio", "output_audio")


def _parse_message(item_id: str, fields: Fields) -> Item:
    if fields.get("role") is None:
        raise missing(fields.at("role"))
    roles: tuple[Role, ...] = ("user", "assistant", "system")
    role = fields.choice("role", roles, default="user")
    content = fields.get("content")
    if content is None:
        raise missing(fields.at("content"))
    if isinstance(content, str):  # as Chat Completions has it
        content = [{"type": "text", "text": content}]
        fields = Fields({"content": content}, fields.path)
    path = fields.at("content")
    parts = [
        _parse_part(Fields(each, f"{path}[{number}]"), role)
        for number, each in enumerate(fields.items("content", most=MOST_PARTS))
    ]
    return Item(item_id, role=role, content=parts)


def _parse_part(fields: Fields, role: Role) -> Part:
    kind = fields.get("type")
    if kind is None:
        raise missing(fields.at("type"))
    if kind in _TEXTS:
        text = fields.text("text", longest=LONGEST_TEXT)
        return Part("output_text" if role == "assistant" else "input_text", text)
    if kind == "input_image":
        raise unsupported(fields.at("type"), "Images are not supported")
    if kind not in _AUDIOS:
        raise invalid(fields.at("type"), "'input_text', 'input_audio' or 'output_text'")
    if role == "system":
        raise invalid(fields.at("type"), "'input_text': a system message is not spoken")
    return _parse_audio_part(fields, role)


def _parse_audio_part(fields: Fields, role: Role) -> Part:
    """What the user said; of the assistant the transcript alone counts, as text."""
    transcript = fields.get("transcript")
    known = None if transcript is None else fields.text("transcript", longest=LONGEST_TEXT)
    audio = fields.get("audio")
    if audio is not None and not isinstance(audio, str):
        raise invalid(fields.at("audio"), "base64")
    if role == "assistant":
        if known is None:
            raise missing(fields.at("transcript"))
        return Part("output_audio", known)
    if known is None and not audio:
        raise missing(fields.at("audio"))
    return Part("input_audio", known, None if known is not None else audio)
