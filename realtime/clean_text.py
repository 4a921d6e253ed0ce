"""Text of clients, so that it can be encoded and stored."""


def clean(text: str) -> str:
    """Halves of surrogate pairs and NUL are replaced."""
    return whole(text.replace("\0", "\ufffd") if "\0" in text else text)


def whole(text: str) -> str:
    """Halves of surrogate pairs are replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
