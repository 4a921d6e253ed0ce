"""Transcripts as they are compared: recognisers differ in script, width, case and marks."""

import re
import unicodedata

# Those characters of this package's tables that are written in two ways.
_TWO_WAYS = (
    "對对 沒没 錯错 這这 樣样 嗎吗 囉啰 說说 還还 個个 為为 爲为 於于 雖虽 與与 給给 讓让 話话 "
    "時时 認认 覺觉 後后 從从 發发 現现 實实 別别 幾几 裡里 裏里 兒儿 誰谁 麼么 們们 過过 來来 "
    "儘尽 盡尽 無无 種种 謝谢 見见 關关 點点 邊边 並并 結结 導导 難难 較较 將将 會会 應应 "
    "許许 當当 隨随 總总 換换 講讲 喔哦 噢哦 欸诶 誒诶 曉晓 瞭了 況况 願愿 寧宁 據据 論论 則则 "
    "嘍喽 唄呗 喲哟 聽听 請请 門门 問问 間间 題题 歲岁 遠远 買买 寫写 帶带 學学"
)
_SIMPLIFIED = str.maketrans({pair[0]: pair[1] for pair in _TWO_WAYS.split()})
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_WORDS = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+(?:'[^\W\d_{_HAN}]+)*")


def plain(text: str) -> str:
    """Half width, lower case, simplified where it matters to us; marks are kept."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return text.translate(_SIMPLIFIED).strip()


def spelled(text: str) -> str:
    """Plain, and each digit a word of its own: as people hear it."""
    return plain(text).translate(_DIGITS)


def words(text: str) -> list[str]:
    """The words of a plain text: Chinese by the character, all other by the word."""
    return _WORDS.findall(text)


def is_han(word: str) -> bool:
    """Whether a word is written in Chinese characters."""
    return "\u3400" <= word[0] <= "\u9fff"


def table(entries: str) -> frozenset[str]:
    """What is listed, with ``|`` between; lines are joined."""
    return frozenset(re.split(r"\s*\|\s*", " ".join(entries.split())))
