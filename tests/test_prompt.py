"""What the model reads."""

import itertools

import pytest

from chat.llm.base import PromptMessage, Tool, ToolCall
from chat.llm.tokens import estimate_prompt, estimate_tokens
from chat.prompt import PromptBuilder, character_prompt, example_pairs, fill_macros
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


# --- a talk that the client has a hand in


def talk(*messages, history=(), summary="", budget=4000, given=None, **changes):
    builder = PromptBuilder(
        role=role(**changes), user_name="小明", summary=summary, history=history, budget=budget
    )
    return builder.build_talk(messages, **(given or {}))


def user(text):
    return PromptMessage("user", text)


def assistant(text, *calls):
    return PromptMessage("assistant", text, calls)


CALL = ToolCall("call_1", "weather", '{"city": "成都"}')
OUTPUT = PromptMessage("tool", "有雨", tool_call_id="call_1")


def test_a_talk_comes_after_character_summary_and_history():
    prompt = talk(user("再见"), history=[("user", "早"), ("assistant", "早。")], summary="谈过棋。")
    contents = [message.content for message in prompt.messages]
    assert contents[0] == character_prompt(role(), "小明")
    assert "谈过棋。" in contents[1]
    assert contents[2:] == ["早", "早。", "再见"]
    assert prompt.persona.name == "诸葛亮"
    assert not prompt.unasked


def test_a_talk_begins_with_the_same_bytes_as_a_chat():
    assert talk(user("你好")).messages[0] == build("你好").messages[0]


def test_instructions_stand_behind_the_character_or_in_its_place():
    given = {"instructions": "Be brief."}
    behind = talk(user("你好"), given=given)
    assert [m.content for m in behind.messages[:2]] == [
        character_prompt(role(), "小明"),
        "Be brief.",
    ]
    instead = talk(user("你好"), given=given | {"replace": True})
    assert [m.content for m in instead.messages] == ["Be brief.", "你好"]
    none = talk(user("你好"), given={"replace": True})
    assert none.messages[0].content == character_prompt(role(), "小明")


def test_tools_and_the_choice_among_them_are_handed_on():
    tools = (Tool("weather"),)
    prompt = talk(user("你好"), given={"tools": tools, "tool_choice": "required"})
    assert (prompt.tools, prompt.tool_choice) == (tools, "required")


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ((), "请诸葛亮先开口"),
        ((user("请讲"), assistant("话说当年，")), "接着说完"),
    ],
)
def test_where_nobody_waits_for_an_answer_the_character_is_asked_for_one(messages, asked):
    prompt = talk(*messages)
    assert prompt.messages[-1].role == "system"
    assert asked in prompt.messages[-1].content
    assert prompt.unasked
    assert prompt.messages[1:-1] == messages


@pytest.mark.parametrize("last", [user("你好"), PromptMessage("system", "Greet the user."), OUTPUT])
def test_who_is_waiting_needs_no_such_line(last):
    before = (assistant("", CALL),) if last is OUTPUT else ()
    assert talk(user("早"), *before, last).messages[-1] == last


def test_lore_stands_before_the_last_words_of_the_user():
    messages = (user("东风来了吗？"), assistant("", CALL), OUTPUT)
    prompt = talk(*messages)
    assert "赤壁借东风。" in prompt.messages[1].content
    assert prompt.messages[2:] == messages
    assert prompt.persona.lore == ("赤壁借东风。",)
    unasked = talk(history=[("assistant", "东风未起。")])
    assert [m.role for m in unasked.messages] == ["system", "assistant", "system", "system"]


def test_a_long_talk_is_cut_from_its_old_end_history_first():
    history = [("user", f"旧{n}" + "话" * 40) for n in range(20)]
    said = [user(f"新{n}" + "话" * 40) for n in range(20)]
    prompt = talk(*said, history=history, budget=1000)
    assert estimate_prompt(prompt) <= 1000
    kept = prompt.messages[1:]
    assert 5 < len(kept) < 20
    assert [*kept] == said[-len(kept) :]


def test_an_output_is_never_without_its_call():
    rounds = [
        (user(f"第{n}问"), assistant("", replace_id(n)), output(n), assistant("答" * 30))
        for n in range(12)
    ]
    messages = [message for each in rounds for message in each]
    for budget in range(600, 2000, 7):
        kept = talk(*messages, user("完"), budget=budget).messages
        called = {call.id for message in kept for call in message.tool_calls}
        answered = {message.tool_call_id for message in kept if message.role == "tool"}
        assert called == answered
        assert kept[-1].content == "完"


def replace_id(number):
    return ToolCall(f"call_{number}", "weather", "{}")


def output(number):
    return PromptMessage("tool", "雨" * 20, tool_call_id=f"call_{number}")


def test_the_newest_stays_however_long_it_is():
    long = user("长" * 5000)
    assert talk(user("早"), long, budget=1000).messages[1:] == (long,)
    answer = PromptMessage("tool", "长" * 5000, tool_call_id="call_1")
    asked = (assistant("", CALL), answer)
    assert talk(user("早"), *asked, budget=1000).messages[1:] == asked


def test_what_tools_take_is_taken_from_the_budget():
    said = [user(f"{n}" + "话" * 40) for n in range(20)]
    schema = {"type": "object", "description": "长" * 400}
    without = talk(*said, budget=1500)
    with_tools = talk(*said, budget=1500, given={"tools": (Tool("weather", "", schema),)})
    assert len(with_tools.messages) < len(without.messages)
