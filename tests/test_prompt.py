"""What the model reads."""

import itertools

from chat.llm.tokens import estimate_tokens
from chat.prompt import PromptBuilder, example_pairs, fill_macros
from roles.models import Role


def role(**changes) -> Role:
    fields = {
        "name": "诸葛亮",
        "description": "字孔明，{{char}}称{{user}}为主公。",
        "gender": "男",
        "age": 40,
        "voice_type": "kokoro_zm_yunjian",
        "language": "zh",
        "personality": "沉稳",
        "scenario": "隆中草庐",
        "greeting": "亮在此。",
        "example_dialogue": "<START>\n{{user}}: 天下大势？\n{{char}}: 三分。\n先取荆州。",
        "lorebook": {
            "entries": [
                {
                    "keys": ["东风"],
                    "content": "赤壁借东风。",
                    "enabled": True,
                    "insertion_order": 1,
                },
                {"keys": ["木牛"], "content": "木牛流马。", "enabled": True, "insertion_order": 2},
                {"keys": ["wind"], "content": "A wind.", "enabled": True, "insertion_order": 3},
            ]
        },
    }
    return Role(**{**fields, **changes})


def build(said="你好", *, history=(), summary="", budget=4000, **changes):
    builder = PromptBuilder(
        role=role(**changes), user_name="小明", summary=summary, history=history, budget=budget
    )
    return builder.build(said)


def test_character_first_then_summary_history_and_the_users_words():
    prompt = build("再见", history=[("user", "早"), ("assistant", "主公早。")], summary="谈过棋。")
    assert [message.role for message in prompt.messages] == [
        "system",
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert "字孔明，诸葛亮称小明为主公。" in prompt.messages[0].content
    assert "谈过棋。" in prompt.messages[1].content
    assert prompt.messages[-1].content == "再见"


def test_the_prefix_is_byte_stable_from_turn_to_turn():
    history = [("user", "一"), ("assistant", "二")]
    first = build("三", history=history)
    second = build("五", history=[*history, ("user", "三"), ("assistant", "四")])
    same = len(first.messages)
    assert first.messages == second.messages[:same]


def test_the_budget_is_kept_and_the_newest_stays():
    history = [("user", f"第{n}句" + "话" * 40) for n in range(200)]
    prompt = build(history=history, budget=1500)
    tokens = sum(estimate_tokens(m.content) + 4 for m in prompt.messages)
    assert tokens <= 1500
    assert prompt.messages[-2].content == history[-1][1]
    kept = [m.content for m in prompt.messages if m.role == "user"][:-1]
    assert kept == [text for _author, text in history[-len(kept) :]]


def test_an_overlong_message_still_goes_through():
    prompt = build("长" * 3000, history=[("user", "早")], budget=1000)
    assert prompt.messages[-1].content == "长" * 3000
    assert all(message.content != "早" for message in prompt.messages)


def test_fitting_lore_comes_last_before_the_users_words():
    prompt = build("今夜会有东风吗")
    assert "赤壁借东风。" in prompt.messages[-2].content
    assert "木牛" not in prompt.messages[-2].content
    assert prompt.persona is not None
    assert prompt.persona.lore == ("赤壁借东风。",)


def test_latin_keys_match_whole_words_only():
    assert build("rewinding").persona.lore == ()
    assert build("Wind风").persona.lore == ("A wind.",)


def test_macros_in_any_case():
    assert fill_macros("{{CHAR}} <bot> {{user}} <USER>", char="亮", user="明") == "亮 亮 明 明"
    assert fill_macros("{{char}}", char=r"\1", user="") == r"\1"


def test_example_dialogue_becomes_pairs():
    pairs = example_pairs(
        "<START>\n小明: 天下大势？\n诸葛亮：三分。\n先取荆州。\n<START>\n小明: 早\n诸葛亮: 早。",
        "小明",
        "诸葛亮",
    )
    assert pairs == (("天下大势？", "三分。\n先取荆州。"), ("早", "早。"))


def test_the_rules_are_in_the_roles_language():
    for language, word in (("zh", "规矩"), ("en", "Rules")):
        assert word in build(language=language).messages[0].content


def test_no_text_of_one_user_in_anothers_prompt():
    builders = [
        PromptBuilder(
            role=role(), user_name=name, summary="", history=[("user", name)], budget=4000
        )
        for name in ("甲某", "乙某")
    ]
    prompts = [builder.build("你好") for builder in builders]
    for prompt, other in zip(prompts, ("乙某", "甲某"), strict=True):
        assert not any(other in message.content for message in prompt.messages)
    assert len(list(itertools.chain(*(p.messages for p in prompts)))) == 6
