"""The web page in headless Chromium, against a server in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, WebSocketRoute, expect

from tests.browser import chromium, launch
from tests.page import DESKTOP, PHONE, Visit, write_speech
from tests.platform import Client, ProviderProcess, loopback_providers
from tests.processes import ROOT, ServerProcess, start_server

pytestmark = [pytest.mark.system, pytest.mark.browser]

NAME = "诸葛亮"
REPLY = "（轻摇羽扇）足下先说，最怕输掉的是什么？亮替你想三步。"
HEARD = "这封信该不该寄"


@pytest.fixture(scope="module")
def pictures() -> Path:
    """Where screenshots go, to be looked at."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def providers() -> Iterator[ProviderProcess]:
    with loopback_providers() as process:
        yield process


@pytest.fixture(scope="module")
def talking(providers: ProviderProcess) -> Iterator[ServerProcess]:
    """A server whose model, ears and voice answer at once."""
    with start_server(providers.settings) as process:
        yield process


@pytest.fixture(autouse=True)
def _healthy(providers: ProviderProcess) -> None:
    providers.reset()
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text=HEARD)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """With a microphone into which somebody speaks for two seconds every few."""
    speech = tmp_path_factory.mktemp("microphone") / "speech.wav"
    write_speech(speech)
    options = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={speech}",
    )
    with chromium(options) as started:
        yield started


@pytest.fixture
def visit(browser: Browser, talking: ServerProcess, pictures: Path) -> Iterator[Visit]:
    begun = Visit.begin(browser, talking.base_url, pictures)
    yield begun
    begun.end()


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_somebody_registers_picks_a_character_and_talks(
    browser: Browser, talking: ServerProcess, pictures: Path, window: ViewportSize
) -> None:
    phone = window == PHONE
    visit = Visit.begin(browser, talking.base_url, pictures, viewport=window, has_touch=phone)
    page = visit.page
    visit.go("/")
    page.locator(".entry-form").wait_for()
    visit.check("entry")
    visit.register()
    expect(page.locator(".card").first).to_be_visible()
    visit.check("gallery")

    visit.meet(NAME)
    greeting = visit.lines("character")[0]
    assert len(greeting) > 10
    # A greeting is spoken once for everybody, and has a player from then on.
    first_words = page.locator(".from-character").first
    expect(first_words.locator(".player-button")).to_be_visible(timeout=30_000)
    expect(first_words.locator(".player-time")).not_to_be_empty()
    visit.check("greeting")

    visit.say("丞相，我有一封信写好了。")
    visit.wait_for_replies(2)
    assert visit.lines("character")[1] == REPLY
    expect(page.locator(".stage-mood")).to_have_text("轻摇羽扇")

    page.locator(".mode select").select_option("1")
    page.locator(".composer-mic").click()
    page.locator(".recorder").wait_for()
    expect(page.locator(".recorder-time")).to_have_text("0:03", timeout=8000)
    visit.check("recording")
    page.locator(".recorder .composer-main").click()
    visit.wait_for_replies(3)
    assert visit.lines("user")[1] == HEARD
    spoken = page.locator(".from-character").last
    expect(spoken.locator(".player")).to_be_visible()
    assert spoken.locator(".prose").inner_text() == REPLY
    # It sounds by itself, and once more from the stored file.
    expect(page.locator(".stage")).to_have_attribute("data-state", "speaking")
    visit.check("voice")
    page.locator(".composer-main.stops").click()
    expect(page.locator(".stage")).to_have_attribute("data-state", "idle")
    spoken.locator(".player-button").click()
    expect(spoken.locator(".player-time")).to_have_text("0:01")

    said = [message["text"] for message in visit.stored()]
    assert said[1] == "丞相，我有一封信写好了。"
    assert said[3] == HEARD
    page.reload()
    page.locator(".message").nth(len(said) - 1).wait_for()
    assert visit.lines("user")[0] == "丞相，我有一封信写好了。"
    assert visit.lines("character")[:2] == [greeting, REPLY]

    visit.go("/")
    page.locator(".continue a", has_text=NAME).click()
    expect(page.locator(".message").first).to_be_visible()
    visit.go("/conversations")
    page.locator(".row", has_text=NAME).wait_for()
    visit.check("conversations")
    visit.end()


def test_enter_that_ends_a_composition_sends_nothing(visit: Visit) -> None:
    visit.register()
    visit.meet(NAME)
    field = visit.page.locator(".composer textarea")
    field.fill("ni hao")
    field.evaluate(
        "element => element.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    assert field.input_value() == "ni hao"
    field.press("Shift+Enter")
    assert field.input_value() == "ni hao\n"
    field.press("Enter")
    assert field.input_value() == ""
    visit.wait_for_replies(2)
    assert visit.lines("user") == ["ni hao"]


def test_voice_message_by_holding_the_button(visit: Visit) -> None:
    visit.register()
    visit.meet(NAME)
    page = visit.page
    page.locator(".composer-mic").hover()
    page.mouse.down()
    expect(page.locator(".recorder.held")).to_be_visible()
    expect(page.locator(".recorder-time")).to_have_text("0:02", timeout=6000)
    page.mouse.move(600, 200)  # up and away: not sent
    expect(page.locator(".recorder.away")).to_be_visible()
    page.mouse.up()
    expect(page.locator(".recorder")).to_be_hidden()
    assert visit.lines("user") == []

    page.locator(".composer-mic").hover()
    page.mouse.down()
    expect(page.locator(".recorder-time")).to_have_text("0:02", timeout=6000)
    page.mouse.up()
    visit.wait_for_replies(2)
    assert visit.lines("user") == [HEARD]


def test_stop_keeps_what_was_said(visit: Visit, providers: ProviderProcess) -> None:
    providers.script("chat", text=REPLY * 5, pace={"llm_first_ms": 100, "tokens_per_second": 8})
    visit.register()
    visit.meet(NAME)
    visit.say("慢慢说")
    reply = visit.page.locator(".from-character").last
    expect(reply.locator(".prose")).to_contain_text("足下")
    visit.page.locator(".composer-main.stops").click()
    expect(reply).to_have_attribute("data-status", "cancelled")
    kept = reply.locator(".prose").inner_text()
    assert kept
    assert (REPLY * 5).startswith(kept)
    visit.page.reload()
    expect(visit.page.locator('.from-character[data-status="cancelled"] .prose')).to_have_text(kept)


def test_failed_message_is_said_again(visit: Visit, providers: ProviderProcess) -> None:
    providers.script("chat", *[{"status": 500}] * 4)
    visit.register()
    visit.meet(NAME)
    visit.say("在吗")
    failed = visit.page.locator('.from-user[data-status="failed"]')
    failed.wait_for(timeout=30_000)
    providers.reset()
    providers.script("chat", text=REPLY)
    failed.locator(".text-button").click()
    visit.wait_for_replies(2)
    assert visit.lines("user") == ["在吗"]
    visit.page.reload()
    visit.page.locator(".message").nth(2).wait_for()
    assert visit.lines("user") == ["在吗"]


def test_message_waits_for_the_line_and_a_reload(visit: Visit) -> None:
    page = visit.page
    down = True

    def refuse(route: WebSocketRoute) -> None:
        if down:
            route.close(code=1011, reason="down")
        else:
            route.connect_to_server()

    page.route_web_socket("**/api/ws/chat", refuse)
    visit.register()
    visit.meet(NAME)
    visit.say("没有线也要送到")
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator('.from-user[data-status="sending"]')).to_be_visible()
    visit.check("line-down")
    page.reload()
    expect(page.locator('.from-user[data-status="sending"] .prose')).to_have_text("没有线也要送到")
    down = False
    visit.wait_for_replies(2)
    expect(page.locator(".banner")).to_be_hidden()
    assert [message["author"] for message in visit.stored()] == ["assistant", "user", "assistant"]


def test_line_lost_in_the_middle_of_a_reply(visit: Visit, providers: ProviderProcess) -> None:
    page = visit.page
    broken = 0

    def break_once(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            nonlocal broken
            route.send(message)
            if not broken and '"delta"' in str(message):
                broken += 1
                route.close(code=1011, reason="cut")

        server.on_message(pass_on)

    providers.script("chat", text=REPLY, pace={"llm_first_ms": 200, "tokens_per_second": 10})
    page.route_web_socket("**/api/ws/chat", break_once)
    visit.register()
    visit.meet(NAME)
    visit.say("别断")
    visit.wait_for_replies(2)
    assert broken == 1
    assert visit.lines("character")[1] == REPLY
    assert visit.lines("user") == ["别断"]
    assert [message["author"] for message in visit.stored()] == ["assistant", "user", "assistant"]


def test_reload_in_the_middle_of_a_reply(visit: Visit, providers: ProviderProcess) -> None:
    providers.script("chat", text=REPLY, pace={"llm_first_ms": 200, "tokens_per_second": 10})
    visit.register()
    visit.meet(NAME)
    visit.say("我去去就来")
    expect(visit.page.locator(".from-character").last.locator(".prose")).to_contain_text("足下")
    visit.page.reload()
    visit.wait_for_replies(2)
    assert visit.lines("character")[1] == REPLY
    assert visit.lines("user") == ["我去去就来"]


def test_older_messages_come_when_scrolled_up(visit: Visit) -> None:
    visit.register()
    visit.meet(NAME)
    for i in range(18):
        visit.say(f"第{i}句")
        visit.wait_for_replies(i + 2)
    visit.page.reload()
    visit.page.locator(".message").nth(29).wait_for()
    expect(visit.page.locator(".message")).to_have_count(30)
    visit.page.locator(".log").evaluate("log => log.scrollTo(0, 0)")
    expect(visit.page.locator(".message")).to_have_count(37)
    assert visit.lines("user") == [f"第{i}句" for i in range(18)]
    assert visit.page.locator(".log").evaluate("log => log.scrollTop") > 200
    expect(visit.page.locator(".log-day")).to_have_count(1)


def test_character_is_written_changed_and_deleted(visit: Visit) -> None:
    page = visit.page
    visit.register()
    visit.go("/new")
    page.locator(".role-form button[type=submit]").click()
    expect(page.locator(".field-error:visible")).to_have_count(4)
    expect(page.locator("input[name=name]")).to_be_focused()
    visit.check("form-errors")
    page.locator("input[name=name]").fill("沈三白")
    page.locator("textarea[name=description]").fill("清代苏州文人，爱花成癖，也爱芸娘。")
    page.locator("input[name=age]").fill("30")
    page.locator("textarea[name=greeting]").fill("（放下花剪）你来了。")
    page.locator(".tabs.small button", has_text="双语").click()
    page.locator(".tabs.small button", has_text="全部").click()
    page.locator(".voice", has_text="Echo").locator("input").check()
    with page.expect_response("**/samples/**") as sample:
        page.locator(".voice", has_text="Echo").locator("button").click()
    assert sample.value.ok
    expect(page.locator(".field-error:visible")).to_have_count(0)
    page.locator(".role-form button[type=submit]").click()
    page.locator(".message").wait_for()
    assert visit.lines("character") == ["（放下花剪）你来了。"]

    page.locator("a[href^='#/edit/']:visible").first.click()
    page.locator("input[name=tagline]").fill("苏州城里最会过小日子的人")
    page.locator(".role-form button[type=submit]").click()
    page.locator(".message").wait_for()
    visit.go("/")
    page.locator("[data-tab=mine]").click()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".card-line")).to_have_text("苏州城里最会过小日子的人")
    visit.check("mine")

    page.locator(".card-edit").click()
    page.locator(".button.danger-quiet").click()
    page.locator("dialog .button.danger").click()
    expect(page.locator(".gallery")).to_be_visible()
    expect(page.locator(".card", has_text="沈三白")).to_have_count(0)
    visit.go("/conversations")
    page.locator(".row", has_text="沈三白").locator("a").click()
    expect(page.locator(".composer.gone")).to_be_visible()


def test_it_says_who_speaks_for_a_voice_that_is_away(visit: Visit) -> None:
    page = visit.page
    visit.register()
    visit.go("/new")
    page.locator("input[name=name]").fill("沈三白")
    page.locator("textarea[name=description]").fill("清代苏州文人，爱花成癖，也爱芸娘。")
    page.locator("input[name=age]").fill("30")
    page.locator(".voice", has_text="温柔男声").locator("input").check()
    page.locator(".role-form button[type=submit]").click()
    expect(page.locator(".stage-note")).to_have_text("原来的声音不在，由“Echo”代说")
    visit.check("voice-away")
    page.locator("a[href^='#/edit/']:visible").first.click()
    expect(page.locator(".field-hint", has_text="“Echo”代说")).to_be_visible()
    expect(page.locator(".voice", has_text="温柔男声").locator("input")).to_be_checked()
    page.locator(".voice", has_text="Echo").locator("input").check()
    page.locator(".role-form button[type=submit]").click()
    page.locator(".stage").wait_for()
    expect(page.locator(".stage-note")).to_have_count(0)


def test_a_voice_that_is_not_offered_any_more_may_be_kept(
    visit: Visit, talking: ServerProcess
) -> None:
    page = visit.page
    visit.register()
    token = page.evaluate("JSON.parse(localStorage.getItem('liyuan.session')).access")
    client = Client(talking.base_url, token, "", 0, "")
    role = client.add_role(voice_type="kokoro_zf_xiaoyi")
    visit.go(f"/edit/{role}")
    kept = page.locator(".voice", has_text="现在的声音")
    expect(kept.locator("input")).to_be_checked()
    expect(kept.locator("button")).to_have_count(0)  # nothing to hear
    page.locator("input[name=age]").fill("31")
    page.locator(".role-form button[type=submit]").click()
    page.locator(".stage-note").wait_for()
    saved = client.get(f"/api/role/{role}")
    assert (saved["age"], saved["voice_type"]) == (31, "kokoro_zf_xiaoyi")


@pytest.fixture(scope="module")
def vendors() -> Iterator[ServerProcess]:
    """A server with the voices of a vendor who has hundreds; nobody asks it to speak."""
    settings = {"TTS_PROVIDERS": "dashscope", "DASHSCOPE_API_KEY": "sk-none"}
    with start_server(settings) as process:
        yield process


def test_a_voice_is_found_among_hundreds(
    browser: Browser, vendors: ServerProcess, pictures: Path
) -> None:
    visit = Visit.begin(browser, vendors.base_url, pictures)
    page = visit.page
    visit.register()
    visit.go("/new")
    shown = page.locator(".voice:visible")
    expect(shown).to_have_count(195)
    page.locator(".voices-filter select").select_option(label="有声书")
    expect(shown).to_have_count(18)
    page.locator(".voices-filter input").fill("龙三叔")
    expect(shown).to_have_count(2)
    shown.first.locator("input").check()
    visit.check("voices")
    page.locator(".voices-filter input").fill("没有人")
    expect(page.locator(".voices-none")).to_be_visible()
    expect(shown).to_have_count(1)  # the one that is chosen
    visit.end()


def test_search_finds_and_says_when_it_does_not(visit: Visit) -> None:
    visit.register()
    box = visit.page.locator(".search input")
    box.fill(NAME)
    expect(visit.page.locator(".card")).to_have_count(1)
    box.fill("无此人也")
    expect(visit.page.locator(".blank")).to_contain_text("无此人也")
    expect(visit.page.locator(".card")).to_have_count(0)


def test_conversation_is_deleted_after_a_question(visit: Visit) -> None:
    page = visit.page
    visit.register()
    visit.meet(NAME)
    visit.go("/conversations")
    page.locator(".row .icon-button").click()
    page.keyboard.press("Escape")
    expect(page.locator(".row")).to_have_count(1)
    page.locator(".row .icon-button").click()
    page.locator("dialog .button.danger").click()
    expect(page.locator(".blank")).to_be_visible()


def test_tokens_are_renewed_once_for_all_requests(visit: Visit) -> None:
    page = visit.page
    visit.register()
    visit.refused = {401}
    renewed: list[str] = []
    page.on(
        "request", lambda request: renewed.append(request.url) if "refresh" in request.url else 0
    )
    spoil = """(part) => {
      const kept = JSON.parse(localStorage.getItem('liyuan.session'));
      kept[part] = 'x' + kept[part];
      localStorage.setItem('liyuan.session', JSON.stringify(kept));
    }"""
    page.evaluate(spoil, "access")
    page.reload()
    page.locator(".card").first.wait_for()
    assert len(renewed) == 1

    page.evaluate(spoil, "access")
    page.evaluate(spoil, "refresh")
    page.reload()
    expect(page.locator(".entry-form")).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("登录已过期")


def test_login_errors_are_said_and_logout_ends(visit: Visit) -> None:
    page = visit.page
    name = visit.register()
    page.locator(".account").click()
    page.locator("dialog button.button").click()
    page.locator(".entry-form").wait_for()
    visit.refused = {401}
    page.locator("button[type=submit]").click()
    expect(page.locator(".field-error:visible")).to_have_count(2)
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill("not the password")
    page.locator(".with-button button").click()
    expect(page.locator("input[name=password]")).to_have_attribute("type", "text")
    page.locator("button[type=submit]").click()
    expect(page.locator(".form-error")).to_be_visible()
    assert page.locator(".form-error").inner_text().strip()
    visit.check("login-error")


def test_english_dark_and_kept(browser: Browser, talking: ServerProcess, pictures: Path) -> None:
    visit = Visit.begin(browser, talking.base_url, pictures, color_scheme="dark", viewport=PHONE)
    page = visit.page
    visit.register()
    page.locator(".icon-button.word").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("h1")).to_have_text("Whom will you meet tonight?")
    dark = "getComputedStyle(document.body).backgroundColor"
    at_night = page.evaluate(dark)
    page.locator("[title='Theme: as the system']").click()
    assert page.evaluate(dark) != at_night
    page.locator("[title='Theme: light']").click()
    assert page.evaluate(dark) == at_night
    page.reload()
    expect(page.locator("h1")).to_have_text("Whom will you meet tonight?")
    page.locator(".card").first.wait_for()
    visit.check("english-dark-gallery")
    page.locator(".card-link", has_text="Emma").click()
    page.locator(".message").first.wait_for()
    visit.check("english-dark-chat")
    visit.end()


def test_refused_microphone_is_explained(
    browser: Browser, talking: ServerProcess, pictures: Path
) -> None:
    refusing = launch(
        browser.browser_type,
        ["--deny-permission-prompts", "--use-fake-device-for-media-stream"],
    )
    visit = Visit.begin(refusing, talking.base_url, pictures)
    page = visit.page
    visit.register()
    visit.meet(NAME)
    page.locator(".composer-mic").click()
    expect(page.locator(".toast")).to_contain_text("麦克风被拒绝")
    page.locator("[data-call]:visible").click()
    page.locator(".call-start").click()
    expect(page.locator(".call-problem")).to_contain_text("麦克风被拒绝")
    visit.check("no-microphone")
    visit.end()
    refusing.close()


def test_without_model_and_speech_it_says_so(
    browser: Browser, server: ServerProcess, pictures: Path
) -> None:
    visit = Visit.begin(browser, server.base_url, pictures)
    page = visit.page
    visit.register()
    chip = page.locator(".topbar .health")
    expect(chip).to_have_text("离线替身")
    visit.meet(NAME)
    expect(page.locator(".composer-mic")).to_be_disabled()
    expect(page.locator(".composer-reason")).to_be_visible()
    expect(page.locator("[data-call]:visible")).to_have_count(0)
    visit.say("你好")
    visit.wait_for_replies(2)
    chip.click()
    expect(page.locator("dialog .notes")).to_contain_text("LLM_BASE_URL")
    visit.check("understudy")
    visit.end()
