"""How English utterances end, and how they trail off. Of plain texts: lower case."""

import re
from typing import Literal

from voice.ear.wording import table

# After these something has to come, unless what stands before makes a whole of it.
_OPEN = table(
    """
    and|but|because|cause|cuz|or|if|although|unless|until|whether|than|nor|while|since|when|
    where|the|a|an|my|your|our|their|its|every|um|uh|er|erm|uhm|of|for|with|from|into|onto|
    about|by|to|is|are|was|were|am|be|been|i|i'm|i've|i'll|i'd|it's|that's|there's|he's|she's|
    we're|they're|you're|very|really|quite|which|whose|gonna|wanna|gotta
    """
)
_WHOLE = re.compile(
    r"\b(?:(?:a|little|the|quick|short|long) while|just because|ever since|what if|not really|"
    r"(?:kind|sort|heard|think|out|proud|afraid|fond|tired|full) of|"
    r"\w+ed (?:for|to|with|by|about|of)|(?:stand|stop|drop|come|pass) by|"
    r"(?:want|have|need|like|love|hate|used|able|happy|going|got|supposed|ought) to|"
    r"(?:no|something|someone|somewhere) when|(?:since|say|till|until) when|"
    r"(?:vitamin|option|plan|grade|type|team) a|(?:you|too|me) and i|"
    r"(?:think|talk|worry|care) about|(?:thank you|thanks) very|"
    r"(?:i am|(?:we|they|you) are|(?:it|he|she|that) (?:is|was)))$"
)
_SO = re.compile(
    r"(?:think|hope|say|said|guess|suppose|believe|do|told|even|not|or|much|is that) so$"
)
_THAT = re.compile(r"(?:think|hope|mean|said|say|believe|feel|so|such) that$")
_LIKE = re.compile(
    r"(?:was|is|it's|that's|just|and|feel|feels|looks|sounds|something|were|um) like$"
)
_THEN = re.compile(r"(?:^|and |so |but |well )then$")
_ONLY_ALONE = table("so|well|also|plus|though|then|like|actually|basically|anyway|hmm")
_ASKING = re.compile(
    r"^(?:(?:so|and|but|well|okay|ok) )?(?:is|are|was|were|do|does|did|can|could|will|would|"
    r"should|have|has)\b|\b(?:who|what|where|when|why|how|which|whose|who's|what's|where's|"
    r"everything|anything|something|nothing|those|all)\b"
)
_STRANDED = table("of|for|with|from|into|about|by|to|is|are|was|were")
_ANSWERS = table(
    """
    yes|no|yeah|yep|nope|nah|ok|okay|sure|of course|thanks|thank you|thank you very much|please|
    goodbye|bye|bye bye|good night|good morning|hello|hi|hey|stop|wait|never mind|nevermind|
    maybe|i don't know|i see|got it|right|exactly|absolutely|that's it|that's all|go on|
    go ahead|sounds good|no problem|yes please|no thanks|no thank you|not really|i think so|
    i hope so|i am|i do|i did|me too
    """
)


def judge(said: str, spoken: list[str]) -> Literal["complete", "open", "unknown"] | None:
    """How a plain text ends whose last word is not Chinese.

    Args:
        said: The text.
        spoken: Its words.

    Returns:
        None where only its marks can tell.
    """
    whole = re.sub(r"\W+$", "", said)
    sentence = " ".join(re.split(r"[.!?]\s", whole)[-1].split())
    clause = re.split(r"[,;:]\s", sentence)[-1]
    if clause in _ANSWERS:
        return "complete"
    last = spoken[-1]
    if clause == last and (last in _ONLY_ALONE or last in _OPEN):
        return "unknown" if last in ("when", "hmm", "where", "which", "whose") else "open"
    if last in _STRANDED and _ASKING.search(sentence):
        return "unknown"  # where are you from
    if last == "so":
        return "unknown" if _SO.search(clause) else "open"
    if _THAT.search(clause) or _LIKE.search(clause) or _THEN.search(clause):
        return "open"
    if last in _OPEN:
        return "unknown" if _WHOLE.search(clause) else "open"
    return None
