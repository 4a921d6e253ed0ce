"""What listeners say while we speak, and what is no interruption."""

import re

from voice.ear.wording import is_han, plain, table, words

# What a listener says to say: go on. Not: 好了, 行了, 对了, 不对, 知道了.
_CHINESE = re.compile(
    "(?:嗯哼|嗯|唔|呣|哦|啊|诶|哎|呵|哈|嘿|呃|额|"
    "没错|对的|对[啊呀]|对|是的|是[啊呀]|是吗|是嘛|是|好的|好[啊呀]|好|行|"
    "这样子|这样[啊呀]|这样|原来如此|原来是这样|原来这样|明白|了解|真的|有意思|不错)+"
)
_ENGLISH = table(
    """
    uh|huh|uhhuh|mm|mmm|mhm|hmm|hm|mmhmm|um hum|um hmm|aha|ah|oh|ooh|wow|ha|haha|
    yeah|yea|yep|yup|yes|right|ok|o k|okay|alright|sure|true|exactly|totally|absolutely|indeed|
    really|cool|nice|great|interesting|gotcha|of course|got it|i see|all right|makes sense|
    fair enough|no kidding|go on
    """
)
_LONGEST = max(len(phrase.split()) for phrase in _ENGLISH)
_MOST_HAN, _MOST_WORDS = 12, 6


def is_backchannel(text: str) -> bool:
    """Whether a transcript is nothing but 嗯, 对对对, uh-huh, yeah, right … in any number.

    Whoever says that wants the other to go on. An answer looks the same: ask only where
    somebody was speaking.
    """
    said = words(plain(text))
    han = [word for word in said if is_han(word)]
    if not said or len(han) > _MOST_HAN or len(said) - len(han) > _MOST_WORDS:
        return False
    if han and not _CHINESE.fullmatch("".join(han)):
        return False
    return _made_of_phrases([word for word in said if not is_han(word)])


def _made_of_phrases(said: list[str]) -> bool:
    at = 0
    while at < len(said):
        for length in range(min(_LONGEST, len(said) - at), 0, -1):
            if " ".join(said[at : at + length]) in _ENGLISH:
                at += length
                break
        else:
            return False
    return True
