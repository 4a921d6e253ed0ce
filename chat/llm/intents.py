"""What a message is about, told by its words: feelings, courtesies, kinds of question."""

import re
from typing import Final

_PATTERNS: Final[dict[str, str]] = {
    "crisis": r"不想活|想死|自杀|轻生|活着没(?:什么)?意[思义]|结束生命|伤害自己|自残"
    r"|kill myself|suicid|want to die|end my life|hurt myself|self[- ]harm",
    "greeting": r"^(?:你好|您好|嗨|哈喽|早上好|早安|晚上好|下午好|在吗|在么|喂|hi|hello|hey|good"
    r" (?:morning|evening|afternoon)|greetings)(?:呀|啊|哇|there)?\b.{0,14}$",
    "farewell": r"再见|拜拜|告辞|^(?:我)?(?:走|撤|溜)了|先下了|我(?:得|要|该|先)(?:走|睡|撤"
    r"|去睡|回去|休息)|晚安|下次再聊|改天再"
    r"|\b(?:good ?bye|bye|farewell|good ?night|see you|gotta go|have to go|i should go)\b",
    "thanks": r"谢谢|多谢|感谢|谢啦|谢了|辛苦(?:你|您)|\b(?:thanks|thank you|thx|cheers)\b",
    "who": r"你(?:到底|究竟)?是(?:谁|什么人|哪位|做什么的|干什么的|唱什么)|你叫什么|怎么称呼你"
    r"|介绍(?:一下|下)?(?:你)?自己|你是.{0,6}(?:吗|么|吧)[？?]?$|who are you|what(?:'s| is) your"
    r" name|introduce yourself|tell me about yourself|what do you do\b",
    "robot": r"你是(?:不是)?(?:个)?(?:人工智能|机器人|AI|模型|程序|真人)"
    r"|are you (?:an? )?(?:ai|bot|robot"
    r"|machine|human|real|language model|chatbot)",
    "how": r"你(?:最近|今天|近来|还|过得|身体)?(?:好吗|好么|怎么样|如何|过得)|最近怎样|别来无恙"
    r"|how are you|how(?:'s| is) it going|how do you do|how have you been",
    "tired": r"好累|很累|太累|累了|累死|累坏|疲惫|困了|好困|熬夜|加班|精疲力|撑不住|怎么做都不够"
    r"|\b(?:tired|exhausted|worn out|sleepy|overworked|burn(?:t|ed) out)\b",
    "sad": r"难过|伤心|难受|想哭|哭了|沮丧|郁闷|失落|心情(?:不好|很差|低落|糟)|不开心|不高兴"
    r"|\b(?:sad|unhappy|depressed|heartbroken|crying|miserable|feeling (?:low|down|blue))\b",
    "anxious": r"焦虑|紧张|担心|害怕|压力|忐忑|慌|又怕|睡不着|失眠"
    r"|\b(?:nervous|anxious|worried|scared|afraid|stressed|can't sleep)\b",
    "angry": r"生气|气死|愤怒|好烦|烦死|恼火|\b(?:angry|furious|annoyed|pissed|mad at)\b",
    "lonely": r"孤独|寂寞|孤单|没人陪|\b(?:lonely|alone|nobody cares|no one cares)\b",
    "happy": r"(?<!不)开心|(?<!不)高兴|太好了|好消息|成功了|通过了|考上|升职|赢了|好棒"
    r"|\b(?:happy|great news|good news|excited|i passed|i won|promoted)\b",
    "heartbreak": r"分手|失恋|前任|离婚|\b(?:broke up|break ?up|divorce|dumped me|my ex)\b",
    "career": r"辞职|创业|裁员|被.{0,3}裁|跳槽|升职|找工作|换工作|面试"
    r"|老板(?=骂|说|让|要|不|很|太|又)|上司|同事"
    r"|\b(?:quit my job|fired|laid off|interview|my boss|new job|career)\b",
    "study": r"考试|论文|作业|高考|考研|\b(?:exam|homework|thesis|finals)\b",
    "lottery": r"彩票|中奖|股票|\b(?:lottery|jackpot|stocks?)\b",
    "love": r"(?:喜欢|爱|想)(?:上)?你(?:了|的?[！!。]|$)|做我(?:男|女)朋友"
    r"|会想我|想不想我|will you miss me"
    r"|\bi (?:love|like|adore|miss) you\b",
    "compliment": r"你(?:真|好|太|很|可真)(?:厉害|聪明|好|棒|帅|美|漂亮|可爱|有趣|温柔|会)"
    r"|佩服|说得(?:真|很|太)?好"
    r"|有道理|\b(?:you(?:'re| are) (?:so |very |really )?(?:great|smart|clever|amazing|funny|kind"
    r"|nice"
    r"|brilliant|good)|well said|impressive|good point|makes sense)\b",
    "insult": r"你(?:真|好|太|是个?|这个?)?(?:笨|蠢|傻|废物|垃圾|无聊|讨厌|烦人|骗子|混蛋)|滚|闭嘴"
    r"|\b(?:you(?:'re| are) (?:so |very |really |an? )?(?:stupid|idiot|dumb|useless|boring"
    r"|liar|fool)"
    r"|shut up|i hate you)\b",
    "apology": r"对不起|抱歉|不好意思|\b(?:sorry|apologi[sz]e|my bad)\b",
    "story": r"讲.{0,4}故事|说.{0,3}故事|(?:讲|说)(?:一)?(?:段|讲|说)?(?:你的)?(?:往事|过去"
    r"|经历)|tell me a"
    r"(?:nother)? (?:story|tale)|story",
    "joke": r"笑话|逗我|\b(?:joke|make me laugh|something funny)\b",
    "more": r"^(?:继续|接着说|然后呢|后来呢|还有呢|再说(?:说|点)|展开|详细)|^(?:go on"
    r"|and then|continue|tell me more"
    r"|what happened (?:next|then)|then what|more)\b",
    "time": r"几点|今天(?:几号|星期|周几)|现在.{0,2}时间|what time|what day|the date",
    "favour": r"帮(?:我|个忙)|\b(?:help me|can you help|do me a favou?r)\b",
    "birthday": r"生日|\b(?:my|our) (?:birthday|anniversary)\b",
    "advice": r"怎么办|该不该|要不要|能不能给.{0,4}建议|我该|依你看"
    r"|\b(?:what (?:should|would) (?:i|you) do|should i|any advice)\b",
    "opinion": r"你(?:觉得|认为|怎么看|怎么想|的看法)"
    r"|\b(?:what do you think|your opinion|do you think)\b",
    "regret": r"后悔|遗憾|\bregrets?\b",
    "laugh": r"^(?:哈|呵|嘿|嘻){2,}|^(?:ha){2,}|\blol\b|笑死",
    "ack": r"^(?:嗯+|哦+|噢|好|好的|好吧|行|是的|是啊|对|对啊|明白了?|知道了|可以|没有|没了"
    r"|原来如此|这样啊|我?不(?:知道|清楚)|随便|ok|okay|i don't know|dunno|whatever"
    r"|yes|yeah|yep|sure|no|nope|i see|right|alright|fine|hm+|got it|not really)[。.！!~，,]*$",
}
_COMPILED: Final = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PATTERNS.items()}
_QUESTION = re.compile(
    r"[?？]\s*$|[吗呢][。！!~]*$|(?<![什怎多那这])么[。！!~]*$|说说|讲讲|聊聊|谈谈"
    r"|^(?:who|what|where|when|why|how|which|do|does|did|is|are|was|were|can|could|will|would"
    r"|have|has|tell me (?:about|more))\b",
    re.IGNORECASE,
)
# "I feel that whatever I do is not enough." is none: a full stop says so.
_QUESTION_WORD = re.compile(
    r"(?:什么|怎么|为何|哪[里儿个些]|谁|几[个岁点]|多少|是不是|会不会)[^。！!]*$"
)
_YES_NO = re.compile(
    r"(?:吗|(?<![什怎])么)[？?。！!]*$|是不是|会不会|能不能|有没有|要不要|好不好"
    r"|^(?:do|does|did|is|are|was|were|can|could|will|would|have|has|should)\b",
    re.IGNORECASE,
)


def intents(message: str) -> frozenset[str]:
    """Every kind the message belongs to; empty when its words say nothing special."""
    text = message.strip()
    return frozenset(name for name, pattern in _COMPILED.items() if pattern.search(text))


def is_question(message: str) -> bool:
    """Whether an answer is asked for."""
    text = message.strip()
    return bool(_QUESTION.search(text) or _QUESTION_WORD.search(text))


def is_yes_no(message: str) -> bool:
    """Whether the answer asked for is yes or no."""
    return bool(_YES_NO.search(message.strip()))
