"""Text of any mixture of Chinese and English to Kokoro's phonemes, and those to chunks."""

import re
from functools import lru_cache

from voice.tts import chinese
from voice.tts.english import EnglishPhonemes

# What the model knows, as its position in the embedding; from the published configuration
# of Kokoro-82M (Apache-2.0).
VOCABULARY: dict[str, int] = {
    **dict(zip(';:,.!?—…"()“” ', (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16), strict=True)),
    **dict(
        zip("\u0303ʣʥʦʨᵝ\uab67AIOQSTWYᵊ", (*range(17, 26), 31, 33, 35, 36, 39, 41, 42), strict=True)
    ),
    **dict(zip("abcdefhijklmnopqrstuvwxyz", (*range(43, 49), *range(50, 69)), strict=True)),
    **dict(
        zip(
            "ɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝ",
            (69, 70, 71, 72, 75, 76, 77, 78, 80, 81, 82, 83, 85, 86, 87, 90, 92, 99, 101, 102, 103),
            strict=True,
        )
    ),
    **dict(
        zip(
            "ɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔ",
            (
                110,
                111,
                112,
                113,
                114,
                115,
                116,
                118,
                119,
                120,
                123,
                125,
                126,
                128,
                129,
                130,
                131,
                132,
                133,
                135,
                136,
                138,
                139,
                140,
                142,
                143,
                147,
                148,
            ),
            strict=True,
        )
    ),
    **dict(zip("ˈˌːʰʲ↓→↗↘ᵻ", (156, 157, 158, 162, 164, 169, 171, 172, 173, 177), strict=True)),
}
MAX_PHONEMES = 510

_HAN = r"\u3400-\u9fff\uf900-\ufaff〇"
_RUN = re.compile(
    rf"[{_HAN}]+|[A-Za-z][A-Za-z0-9'’&.@_-]*(?:[ \t]+[A-Za-z][A-Za-z0-9'’&.@_-]*)*|[^{_HAN}A-Za-z]+"
)
_PUNCTUATION = str.maketrans(
    {
        "，": ", ",
        "、": ", ",
        "。": ". ",
        "．": ". ",
        "！": "! ",
        "？": "? ",
        "：": ": ",
        "；": "; ",
        "（": " (",
        "）": ") ",
        "《": " “",
        "》": "” ",
        "「": " “",
        "」": "” ",
        "『": " “",
        "』": "” ",
        "【": " “",
        "】": "” ",
        "«": " “",
        "»": "” ",
        "‘": "'",
        "’": "'",
        "–": "—",
        "～": "—",
        "~": "—",
        "\n": " ",
        "\t": " ",
    }
)


def phonemize(text: str, *, british: bool = False, chinese_digits: bool = False) -> str:
    """Phonemes of a text, only such as the model knows.

    Args:
        text: Speakable text; English words may stand between Chinese ones.
        british: The accent of the English words.
        chinese_digits: How figures are read when no letter tells: in Chinese.

    Returns:
        Phonemes with punctuation; empty when nothing can be spoken.
    """
    if re.search(f"[{_HAN}]", text) or (chinese_digits and not re.search("[A-Za-z]", text)):
        said = _mixed(text, british=british)
    else:
        said = _english(british)(text.translate(_PUNCTUATION))
    said = "".join(symbol for symbol in said if symbol in VOCABULARY)
    said = re.sub(r"\s+", " ", re.sub(r"\s+(?=[,.!?;:…])", "", said)).strip()
    return said if re.search(r"\w", said) else ""


def split(phonemes: str, *, first: int = 60, target: int = 200) -> list[str]:
    """Cut phonemes into chunks that the model takes, at the best places there are.

    Every sentence ends a chunk, but short ones stay together; a sentence that is too long
    is cut at clauses, then between words, and at worst anywhere.

    Args:
        phonemes: Of a text of any length.
        first: Up to this many the first sentences are joined; fewer sound sooner.
        target: The same for those that follow.
    """
    chunks: list[str] = []
    for sentence in re.findall(r"[^.!?…]+[.!?…\"”)]*\s*|[.!?…]+\s*", phonemes):
        pieces = [sentence]
        for pattern in (r"[^,;:—]+[,;:—]*\s*", r"\S+\s*", rf".{{1,{MAX_PHONEMES}}}"):
            if any(len(piece) > MAX_PHONEMES for piece in pieces):
                pieces = _packed(
                    [part for piece in pieces for part in re.findall(pattern, piece)], MAX_PHONEMES
                )
        chunks += pieces
    packed = _packed(chunks, target, first=first)
    return [chunk.strip() for chunk in packed if re.search(r"\w", chunk)]


def token_ids(phonemes: str) -> list[int]:
    """The model's numbers of phonemes, without the padding at both ends."""
    return [VOCABULARY[symbol] for symbol in phonemes if symbol in VOCABULARY]


def _packed(pieces: list[str], limit: int, first: int | None = None) -> list[str]:
    """Neighbours joined as long as they fit ``limit`` (the first group: ``first``)."""
    packed: list[str] = []
    for piece in pieces:
        room = first if first is not None and len(packed) == 1 else limit
        if packed and len(packed[-1]) + len(piece) <= room:
            packed[-1] += piece
        else:
            packed.append(piece)
    return packed


def _mixed(text: str, *, british: bool) -> str:
    said = []
    for run in _RUN.findall(chinese.spell_out(text)):
        if re.match(f"[{_HAN}]", run):
            said.append(chinese.phonemes(run))
        elif run[0].isascii() and run[0].isalpha():
            said.append(f" {_english(british)(run)} ")
        else:
            said.append(run.translate(_PUNCTUATION))
    return "".join(said)


@lru_cache(maxsize=2)
def _english(british: bool) -> EnglishPhonemes:
    return EnglishPhonemes(british=british)
