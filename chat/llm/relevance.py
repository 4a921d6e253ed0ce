"""How well short texts fit a query, by words and by pairs of Chinese characters."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

_RUN = re.compile(r"[\u3400-\u9fff]+|[a-z0-9']+")
# Signs and words that stand in every sentence say nothing about its topic.
_STOP_ZH = re.compile(
    "今天|今夜|今晚|昨天|明天|现在|时候|一下|知道|可以|感觉|觉得|事情|东西|怎么|什么|为什么|到底|究竟|真的"
    "|总是|老是|一直|经常|常常|总|说说|讲讲|聊聊|谈谈|回事"
    "|[的了吗呢吧啊呀哦嘛是我你您他她它这那在有就都也很么怎谁和与把被给让着过一个们会能想要又好对]"
)
# fmt: off
_STOP_EN = frozenset((
    "a", "an", "the", "i", "i'm", "i've", "you", "your", "my", "me", "we", "he", "she", "it", "his",
    "her", "their", "they", "them", "this", "that", "these", "those", "is", "are", "was", "were",
    "be", "been", "am", "do", "does", "did", "have", "has", "had", "can", "could", "will", "would",
    "should", "to", "of", "in", "on", "at", "for", "with", "and", "or", "but", "if", "so", "not",
    "no", "yes", "as", "by", "from", "about", "what", "what's", "who", "where", "when", "why",
    "how", "which", "there", "here", "just", "very", "really", "it's", "that's", "don't", "tell",
    "know", "think", "like", "get", "got", "go", "ever", "any", "some", "much", "s", "t",
))
# fmt: on
_SUFFIX = re.compile(r"(?:ing|ed|es|s|ly)$")


def terms(text: str, *, single: bool = False) -> Counter[str]:
    """The content of a text: pairs of Chinese characters, and stems of other words.

    Args:
        text: Any text.
        single: Count every Chinese character by itself too: finds more, and less surely.
    """
    found: Counter[str] = Counter()
    for run in _RUN.findall(text.lower()):
        if run[0] > "\u3000":
            for part in _STOP_ZH.split(run):
                if single or len(part) == 1:
                    found.update(part)
                found.update(part[i : i + 2] for i in range(len(part) - 1))
        elif run not in _STOP_EN:
            stem = _SUFFIX.sub("", run) if len(run) > 4 else run
            found[stem.rstrip("e")] += 1
    return found


class Relevance:
    """Scores a fixed list of texts against queries (BM25, as a share of a perfect fit).

    Args:
        texts: What is searched; scores come in its order.
        single: See ``terms``.
    """

    def __init__(self, texts: Sequence[str], *, single: bool = False) -> None:
        self._single = single
        self._documents = [terms(text, single=single) for text in texts]
        self._lengths = [sum(document.values()) for document in self._documents]
        self._average = sum(self._lengths) / max(1, len(texts)) or 1.0
        self._frequency = Counter(term for document in self._documents for term in document)

    def _weight(self, term: str) -> float:
        count = self._frequency[term]
        return math.log(1 + (len(self._documents) - count + 0.5) / (count + 0.5))

    def scores(self, query: str) -> list[float]:
        """One number a text: 0 nothing in common, 1 every word of the query, or more."""
        wanted = terms(query, single=self._single)
        # A word that no text has says less against a text than one that others have.
        unknown = [term for term in wanted if term not in self._frequency]
        whole = self._sum(wanted) - 0.5 * self._sum(unknown)
        if not whole:
            return [0.0] * len(self._documents)
        results = []
        for document, length in zip(self._documents, self._lengths, strict=True):
            norm = 1.2 * (0.25 + 0.75 * length / self._average)
            score = sum(
                self._weight(term) * document[term] * 2.2 / (document[term] + norm)
                for term in wanted
                if term in document
            )
            results.append(score / whole)
        return results

    def overlaps(self, query: str) -> list[float]:
        """One number a text: 0 nothing in common to 1 the same words.

        The mean of what is shared of both texts together, and of the shorter one.
        """
        wanted = terms(query, single=self._single)
        results = []
        for document in self._documents:
            both = self._sum(wanted.keys() & document.keys())
            either = self._sum(wanted.keys() | document.keys())
            shorter = min(self._sum(wanted), self._sum(document))
            results.append((both / either + both / shorter) / 2 if both else 0.0)
        return results

    def _sum(self, words: Iterable[str]) -> float:
        return sum(map(self._weight, words))
