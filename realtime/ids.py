"""Names of what a session makes."""

import secrets


def new_id(prefix: str) -> str:
    """A name that nobody guesses (96 random bits): ``new_id("item")`` is ``item_…``."""
    return f"{prefix}_{secrets.token_hex(12)}"
