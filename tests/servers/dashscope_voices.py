"""Which voice belongs to which model, by the vendor's public lists."""

# Names without a suffix; both models know some names, for different voices.
_V1_NAMES = (
    "longwan longcheng longhua longxiaochun longxiaoxia longxiaocheng longxiaobai longyuan "
    "longtong longlaotie longxiang longshu longshuo longjing longmiao longyue loongstella "
    "loongbella longfei longjielidou"
)
_V2_NAMES = (
    "longhuohuo longhuhu longchuanshu longanpei longwangwan longpaopao longshanshan longniuniu "
    "longdaiyu longgaoseng longyingmu longyingxun longyingcui longyingda longyingjing "
    "longyingyan longyingtian longyingbing longyingtao longyingling longanran longanxuan "
    "longanchong longanping longbaizhi longsanshu longanrou"
)
_V1 = frozenset(_V1_NAMES.split())
_V2 = frozenset(_V2_NAMES.split())
_V3 = frozenset(("longanyang", "longanhuan"))
_QWEN = {
    "qwen-audio-3.0-tts-plus": ("longanlingxin", "longanlufeng"),
    "qwen-audio-3.0-tts-flash": (
        *("longanfengyue", "longanyuanfei", "longanlingxi", "longanxiaoxin", "longanhuan_v3.6"),
    ),
    "qwen-audio-3.1-tts-flash": ("longanhuan_v3.1",),
}
_COSY = ("cosyvoice-v1", "cosyvoice-v2", "cosyvoice-v3-flash", "cosyvoice-v3-plus")
MODELS = (*_COSY, *_QWEN)
SSML_MODELS = frozenset(_COSY[1:])


def speaks(model: str, voice: str) -> bool:
    """Whether ``model`` has ``voice``; a cloned voice carries the name of its model."""
    if voice.startswith(f"{model}-"):
        return True
    if model in _QWEN:
        return voice in _QWEN[model]
    if not voice.startswith(("long", "loong", "libai", "kabuleshen")):
        return False
    if model == "cosyvoice-v1":
        return voice in _V1
    if model == "cosyvoice-v2":
        return voice in _V2 or voice.endswith("_v2")
    return voice in _V3 or (model == "cosyvoice-v3-flash" and voice.endswith("_v3"))
