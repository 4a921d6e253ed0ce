"""Characters that a server has cut in two."""


class Halves:
    """Joins the halves of characters in text that comes in pieces.

    Servers that count in UTF-16 may end a piece in the middle of an emoji. Half a character
    cannot be encoded, neither for a client nor for the database: one that stays alone becomes
    U+FFFD. Only the first half at the end of a piece is held back.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that can be told by now; may be empty."""
        text = self._held + text
        self._held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _joined(text.removesuffix(self._held))

    def finish(self) -> str:
        """What was held back at the end of the text."""
        rest, self._held = _joined(self._held), ""
        return rest


def _joined(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
