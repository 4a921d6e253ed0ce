"""Calls in headless Chromium: a spoken wav as microphone, a real server, real sockets."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, WebSocket, WebSocketRoute, expect

from tests.browser import chromium, launch
from tests.page import DESKTOP, PHONE, Visit, spoken, write_call
from tests.platform import ProviderProcess, loopback_providers
from tests.processes import ROOT, ServerProcess, start_server
from tests.test_local_speech import alike, weights  # noqa: F401

pytestmark = [pytest.mark.system, pytest.mark.browser]

NAME = "诸葛亮"
SENTENCES = [
    "足下先说，最怕输掉的是什么？",
    "亮替你想三步。",
    "第一步，且把信压在砚台下面，过了今夜再看。",
    "第二步，把最重的那一句改成你当面肯说的话。",
    "第三步，才问该不该寄。",
]
REPLY = "".join(SENTENCES)  # 18 s of speech
HEARD = "这封信该不该寄"
FIRST, SECOND = 1.5, 9.5  # s after the microphone was opened

# Beside the loudspeaker stands a meter: `heard` notes how many ms were loud.
METER = """
  const connect = AudioNode.prototype.connect;
  window.heard = { loud: 0, last: 0 };
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) {
      const meter = new AnalyserNode(this.context, { fftSize: 512 });
      connect.call(this, meter);
      const samples = new Float32Array(512);
      let before = performance.now();
      setInterval(() => {
        meter.getFloatTimeDomainData(samples);
        const now = performance.now();
        if (samples.some((sample) => Math.abs(sample) > 0.02)) {
          heard.loud += now - before;
          heard.last = now;
        }
        before = now;
      }, 20);
    }
    return connect.call(this, target, ...rest);
  };
"""


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


@pytest.fixture(autouse=True)
def _healthy(providers: ProviderProcess) -> None:
    providers.reset()
    providers.script("chat", text=REPLY)
    providers.script("transcriptions", text=HEARD)


@pytest.fixture(scope="module")
def talking(providers: ProviderProcess) -> Iterator[ServerProcess]:
    """A server whose model, ears and voice answer at once."""
    with start_server(providers.settings) as process:
        yield process


def hearing(wav: Path) -> tuple[str, ...]:
    """Options of a browser with that file as its microphone, played once from when it opens."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}%noloop",
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """With a microphone into which somebody asks once."""
    wav = tmp_path_factory.mktemp("microphone") / "question.wav"
    write_call(wav, 90, {FIRST: spoken("zf_xiaoxiao", 0.4, 3.2)})
    with chromium(hearing(wav)) as started:
        yield started


@pytest.fixture(scope="module")
def interrupter(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """With a microphone into which somebody asks, and speaks again during the answer."""
    wav = tmp_path_factory.mktemp("microphone") / "interrupts.wav"
    question, second = spoken("zf_xiaoxiao", 0.4, 3.2), spoken("zm_yunxi", 0.4, 1.6)
    write_call(wav, 90, {FIRST: question, SECOND: second})
    started = launch(browser.browser_type, hearing(wav))
    yield started
    started.close()


Ring = Callable[..., Visit]


@pytest.fixture
def ring(browser: Browser, talking: ServerProcess, pictures: Path) -> Iterator[Ring]:
    """Registers somebody and goes to the call of a character; does not press the button."""
    visits = []

    def begin(
        browser: Browser = browser,
        server: ServerProcess = talking,
        window: ViewportSize = DESKTOP,
        name: str = NAME,
    ) -> Visit:
        visit = Visit.begin(browser, server.base_url, pictures, viewport=window)
        visits.append(visit)
        visit.page.add_init_script(METER)
        visit.register()
        visit.meet(name)
        visit.page.locator("[data-call]:visible").click()
        visit.page.locator(".call-start").wait_for()
        return visit

    yield begin
    for visit in visits:
        if not visit.page.is_closed():
            visit.end()


# The microphones that were opened, and the contexts; `refusal` is how the next is refused.
SPY = """
  window.tracks = [];
  window.contexts = [];
  window.refusal = "";
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (refusal) throw new DOMException("", refusal);
    const stream = await open(wanted);
    tracks.push(...stream.getTracks());
    return stream;
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (...args) {
    if (!contexts.includes(this.context)) contexts.push(this.context);
    return connect.apply(this, args);
  };
"""
UNPLUG = "const track = tracks.at(-1); track.stop(); track.dispatchEvent(new Event('ended'));"
PLUG = "refusal = ''; navigator.mediaDevices.dispatchEvent(new Event('devicechange'));"


def in_phase(page: Page, phase: str, *, seconds: float = 15) -> None:
    expect(page.locator(".call")).to_have_attribute("data-phase", phase, timeout=seconds * 1000)


def loud(page: Page) -> float:
    """How many ms of sound have left the loudspeaker."""
    milliseconds: float = page.evaluate("heard.loud")
    return milliseconds


def shown(page: Page, author: str) -> list[str]:
    """The captions of ``user`` or ``character``, without the dash of what was cut off."""
    texts = page.locator(f".caption-{author}").all_inner_texts()
    return [text.strip().removesuffix("——") for text in texts]


def assert_falls_silent(page: Page) -> None:
    """Of what was on its way to the loudspeaker nothing sounds any more."""
    page.wait_for_timeout(150)
    before = loud(page)
    page.wait_for_timeout(600)
    assert loud(page) == before


def whole_sentences(seen: str) -> str:
    """Of a caption that was cut off, what was heard to its end."""
    ends = [sum(map(len, SENTENCES[:count])) for count in range(len(SENTENCES))]
    return REPLY[: max(end for end in ends if end < len(seen))]


def assert_cut(text: str) -> None:
    """It is the beginning of the reply, in whole sentences, and not all of it."""
    assert text
    assert REPLY.startswith(text)
    assert text != REPLY


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_one_calls_hears_an_answer_and_interrupts_it_by_speaking(
    interrupter: Browser, ring: Ring, window: ViewportSize
) -> None:
    visit = ring(interrupter, window=window)
    page = visit.page
    visit.check("call-ready")
    page.locator(".call-start").click()
    in_phase(page, "listening")
    expect(page.locator(".caption-user")).to_be_visible()  # the first words are being spoken
    visit.check("call-listening")
    expect(page.locator(".caption-user")).to_have_text(HEARD)
    in_phase(page, "speaking")
    expect(page.locator(".caption-character")).to_have_text(SENTENCES[0])
    page.wait_for_timeout(1_500)
    visit.check("call-speaking")
    assert loud(page) > 1_000
    in_phase(page, "listening")  # by the second utterance: nothing was pressed
    assert_falls_silent(page)
    [seen] = shown(page, "character")
    assert_cut(seen)
    expect(page.locator(".caption-user")).to_have_text([HEARD, HEARD])
    in_phase(page, "speaking")
    expect(page.locator(".caption-character").last).to_contain_text(SENTENCES[0])
    page.locator(".hang-up").click()

    page.locator(".composer").wait_for()
    page.wait_for_timeout(2_500)
    stored = [message["text"] for message in visit.stored()]
    assert stored[1] == stored[3] == HEARD
    assert stored[2] == whole_sentences(seen)  # what was heard to its end, and no more
    assert_cut(stored[4])
    assert len(stored) == 5
    assert visit.lines("user") == [HEARD, HEARD]
    assert visit.lines("character")[1:] == [stored[2], stored[4]]
    visit.check("after-the-call")


def test_a_listening_noise_does_not_end_the_answer(
    interrupter: Browser, ring: Ring, providers: ProviderProcess
) -> None:
    visit = ring(interrupter)
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "speaking")
    providers.script("transcriptions", text="嗯")
    in_phase(page, "listening")
    in_phase(page, "speaking")
    expect(page.locator(".caption-user")).to_have_text([HEARD, "嗯"])
    begun = whole_sentences(shown(page, "character")[0])
    expect(page.locator(".caption-character").last).to_have_text(
        REPLY.removeprefix(begun), timeout=20_000
    )


@pytest.mark.parametrize("how", ["button", "key", "picture"])
def test_one_interrupts_without_speaking(ring: Ring, how: str) -> None:
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "speaking")
    expect(page.locator(".caption-character")).to_contain_text(SENTENCES[1])
    if how == "button":
        page.locator(".call-interrupt").click()
    elif how == "key":
        page.keyboard.press("Escape")
    else:
        page.locator(".doorway").click()
    in_phase(page, "listening", seconds=1)
    assert_falls_silent(page)
    assert_cut(shown(page, "character")[0])
    expect(page.locator(".call-problem")).to_be_hidden()
    if how == "button":
        expect(page.locator(".call-interrupt")).to_be_focused()
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()
    page.wait_for_timeout(2_500)
    assert_cut(visit.stored()[-1]["text"])


def test_a_reply_that_nobody_interrupts_is_heard_and_shown_whole(
    ring: Ring, providers: ProviderProcess
) -> None:
    short = SENTENCES[0] + SENTENCES[1]  # 4.6 s
    providers.script("chat", text=f"（轻摇羽扇）{short}")
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "speaking")
    in_phase(page, "listening")
    assert "".join(shown(page, "character")).endswith(short)
    assert 3_500 < loud(page) < 5_500
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()
    page.wait_for_timeout(2_500)
    assert visit.stored()[-1]["text"] == f"（轻摇羽扇）{short}"


def test_push_to_talk(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="按住说话模式").click()
    in_phase(page, "held")
    hold = page.locator(".call-hold")
    hold.hover()
    page.mouse.down()
    in_phase(page, "listening")
    page.wait_for_timeout(100)
    page.mouse.up()
    expect(page.locator(".call-problem")).to_contain_text("太短了")
    in_phase(page, "held")
    page.mouse.down()
    page.wait_for_timeout(1_500)  # this is how long somebody speaks
    visit.check("call-holding")
    page.mouse.up()
    in_phase(page, "speaking")
    expect(page.locator(".caption-user")).to_have_text(HEARD)
    expect(page.locator(".call-problem")).to_be_hidden()
    expect(page.locator(".caption-character")).to_contain_text(SENTENCES[0])
    page.mouse.down()  # holding it again interrupts
    in_phase(page, "listening")
    assert_falls_silent(page)
    page.wait_for_timeout(800)
    page.mouse.up()
    in_phase(page, "speaking")
    expect(page.locator(".caption-user")).to_have_text([HEARD, HEARD])
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()

    page.locator("[data-call]:visible").click()  # the choice is remembered
    page.locator(".call-start").click()
    in_phase(page, "held")
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()


def test_the_button_is_held_by_key_and_by_those_who_cannot_hold(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="按住说话模式").click()
    in_phase(page, "held")
    expect(page.locator(".call-hold")).to_be_focused()
    page.keyboard.down(" ")
    in_phase(page, "listening")
    page.wait_for_timeout(1_000)
    page.keyboard.up(" ")
    in_phase(page, "speaking")
    expect(page.locator(".caption-user")).to_have_text(HEARD)
    page.wait_for_timeout(500)
    page.locator(".call-hold").dispatch_event("click")  # as a screen reader does
    in_phase(page, "listening")
    page.wait_for_timeout(1_000)
    page.locator(".call-hold").dispatch_event("click")
    in_phase(page, "speaking")
    expect(page.locator(".caption-user")).to_have_text([HEARD, HEARD])


@pytest.mark.parametrize("window", [(320, 568), (375, 553)], ids=str)
def test_a_small_telephone_has_room_for_captions(ring: Ring, window: tuple[int, int]) -> None:
    visit = ring(window={"width": window[0], "height": window[1]})
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="按住说话模式").click()
    in_phase(page, "held")
    page.locator(".call-hold").hover()
    for held in (1_000, 50):
        page.mouse.down()
        page.wait_for_timeout(held)
        page.mouse.up()
        page.wait_for_timeout(300)
    expect(page.locator(".call-problem")).to_contain_text("太短了")
    expect(page.locator(".caption-user")).to_be_visible()
    box = page.locator(".captions").bounding_box()
    foot = page.locator(".call-controls").bounding_box()
    assert box
    assert foot
    assert box["height"] >= 72
    assert foot["y"] + foot["height"] <= window[1]
    visit.check("call-small")


def test_the_way_to_speak_may_change_while_the_call_begins(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    sent: list[str] = []
    waiting: list[str | bytes] = []
    lines: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        lines.append(line)

        def pass_on(message: str | bytes) -> None:
            sent.append(str(message))
            server.send(message)

        line.on_message(pass_on)
        server.on_message(lambda message: waiting.append(message))

    page.route_web_socket("**/v1/realtime**", connect)
    page.locator(".call-start").click()
    page.wait_for_timeout(1_000)
    in_phase(page, "opening")
    page.get_by_role("button", name="按住说话模式").click()
    page.wait_for_timeout(500)
    for message in waiting:
        lines[0].send(message)
    in_phase(page, "held")
    [first, last] = [
        json.loads(event)["session"]["audio"]["input"]["turn_detection"]
        for event in sent
        if '"session.update"' in event
    ]
    assert first["type"] == "semantic_vad"
    assert last is None


def test_a_line_that_died_unseen_is_noticed_while_nobody_speaks(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    lines: list[WebSocketRoute] = []
    dead: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        lines.append(line)

        def pass_on(message: str | bytes, to: WebSocketRoute) -> None:
            if line not in dead:
                to.send(message)

        line.on_message(lambda message: pass_on(message, server))
        server.on_message(lambda message: pass_on(message, line))

    page.route_web_socket("**/v1/realtime**", connect)
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="静音").click()
    in_phase(page, "muted")
    dead.append(lines[0])
    expect(page.locator(".caption-note")).to_contain_text("又接上了", timeout=30_000)
    in_phase(page, "muted")
    assert len(lines) == 2


def test_muted_nothing_is_heard(ring: Ring) -> None:
    sent: list[str] = []

    def note(socket: WebSocket) -> None:
        if "/v1/realtime" in socket.url:
            socket.on("framesent", lambda frame: sent.append(str(frame)))

    visit = ring()
    page = visit.page
    page.on("websocket", note)
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="静音").click()
    in_phase(page, "muted")
    page.wait_for_timeout(1_000)  # of which silence is sent for 0.6 s
    before = len(sent)
    page.wait_for_timeout(3_000)  # somebody speaks meanwhile
    assert len(sent) == before
    expect(page.locator(".caption-user")).to_have_count(0)
    page.get_by_role("button", name="静音").click()
    in_phase(page, "listening")
    page.wait_for_timeout(500)
    assert len(sent) > before


def test_a_lost_line_comes_back_and_the_conversation_goes_on(
    interrupter: Browser, ring: Ring, providers: ProviderProcess
) -> None:
    visit = ring(interrupter)
    page = visit.page
    lines: list[WebSocketRoute] = []
    refusing = False

    def connect(route: WebSocketRoute) -> None:
        if refusing:
            route.close(code=1011, reason="down")
            return
        lines.append(route)
        route.connect_to_server()

    page.route_web_socket("**/v1/realtime**", connect)
    page.locator(".call-start").click()
    in_phase(page, "speaking")
    expect(page.locator(".caption-character")).to_contain_text(SENTENCES[0])
    refusing = True
    lines[0].close(code=1011, reason="cut")
    in_phase(page, "lost")
    assert_falls_silent(page)
    expect(page.locator(".call-status")).to_contain_text("线断了")
    visit.check("call-lost")
    expect(page.locator(".call-again")).to_be_visible()
    refusing = False
    in_phase(page, "listening")
    expect(page.locator(".caption-note")).to_contain_text("请再说一遍")
    in_phase(page, "speaking")  # the second utterance
    assert len(lines) == 2
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()
    page.wait_for_timeout(2_500)
    assert visit.lines("user") == [HEARD, HEARD]
    stored = visit.stored()
    assert_cut(stored[2]["text"])
    asked = [each for each in providers.log()["exchanges"] if each["endpoint"] == "chat"]
    history = json.dumps(asked[-1]["body"]["messages"], ensure_ascii=False)
    assert history.count(HEARD) == 2  # it remembers what was said before the line broke


def test_offline_is_told_from_a_lost_line(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.context.set_offline(True)
    in_phase(page, "lost")
    expect(page.locator(".call-status")).to_contain_text("离线")
    page.context.set_offline(False)
    in_phase(page, "listening")
    expect(page.locator(".caption-note")).to_contain_text("又接上了")
    visit.problems = [each for each in visit.problems if "ERR_INTERNET_DISCONNECTED" not in each]


def test_a_session_that_expires_is_renewed_by_itself(
    ring: Ring, providers: ProviderProcess
) -> None:
    settings = providers.settings | {"REALTIME_MAX_MINUTES": "0.1"}
    with start_server(settings) as server:
        visit = ring(server=server)
        page = visit.page
        page.locator(".call-start").click()
        in_phase(page, "listening")
        page.get_by_role("button", name="静音").click()
        expect(page.locator(".caption-note")).to_contain_text("时限", timeout=15_000)
        in_phase(page, "muted")
        expect(page.locator(".call-problem")).to_be_hidden()
        visit.end()


def test_what_the_server_cannot_do_is_said(ring: Ring, providers: ProviderProcess) -> None:
    providers.script("chat", *[{"status": 500}] * 8)
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    expect(page.locator(".call-problem")).to_contain_text("没能答上来", timeout=40_000)
    in_phase(page, "listening")
    visit.check("call-problem")
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()


def test_what_is_missing_is_told_for_as_long_as_it_is(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    missing = {"providers": {"asr": {"available": False, "reason": "In repair."}}}

    def check_health(answer: object) -> None:
        if answer:
            body = json.dumps({"code": 200, "data": answer})
            page.route("**/api/health", lambda route: route.fulfill(body=body))
        page.evaluate("import('/static/js/health.js').then((m) => m.checkHealth())")

    check_health(missing)
    expect(page.locator(".call-problem")).to_contain_text("In repair.")
    expect(page.locator(".call-start")).to_be_disabled()
    page.unroute_all()
    check_health(None)
    expect(page.locator(".call-problem")).to_be_hidden()
    expect(page.locator(".call-start")).to_be_enabled()


def test_the_understudy_is_named(ring: Ring, providers: ProviderProcess) -> None:
    settings = {name: value for name, value in providers.settings.items() if "LLM" not in name}
    with start_server(settings) as server:
        visit = ring(server=server)
        page = visit.page
        expect(page.locator(".call-hint")).to_contain_text("离线替身")
        visit.end()


def test_a_server_without_calls_says_so(ring: Ring, providers: ProviderProcess) -> None:
    with start_server(providers.settings | {"REALTIME_ENABLED": "off"}) as server:
        visit = ring(server=server)
        visit.refused = {403, 404}
        page = visit.page
        page.locator(".call-start").click()
        expect(page.locator(".call-problem")).to_contain_text("没有开放通话")
        in_phase(page, "ready")
        visit.check("call-closed")
        visit.problems = [each for each in visit.problems if "WebSocket" not in each]


def test_one_call_too_many_is_explained(ring: Ring, providers: ProviderProcess) -> None:
    with start_server(providers.settings | {"MAX_WEBSOCKET_CONNECTIONS": "1"}) as server:
        visit = ring(server=server)
        page = visit.page
        page.locator(".call-start").click()
        in_phase(page, "listening")
        other = page.context.new_page()
        other.goto(page.url)
        other.locator(".call-start").click()
        expect(other.locator(".call-problem")).to_contain_text("别处还有一通")
        page.locator(".hang-up").click()
        other.locator(".call-again").click()
        in_phase(other, "listening")
        expect(other.locator(".call-problem")).to_be_hidden()
        visit.end()


def test_the_chosen_microphone_is_remembered(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="麦克风与扬声器").click()
    select = page.locator("select.audioinput")
    expect(select.locator("option")).not_to_have_count(1)
    visit.check("call-devices")
    name = select.locator("option").nth(1).inner_text()
    select.select_option(index=1)
    page.keyboard.press("Escape")
    in_phase(page, "speaking")  # it is heard: the file began anew with it
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()
    page.locator("[data-call]:visible").click()
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="麦克风与扬声器").click()
    assert select.locator("option:checked").inner_text() == name
    page.keyboard.press("Escape")


def test_a_loudspeaker_that_cannot_be_used_is_given_back(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.evaluate(
        """() => {
          window.sinks = [];
          AudioContext.prototype.setSinkId = async (id) => {
            sinks.push(id);
            if (id) throw new DOMException("", "NotFoundError");
          };
        }"""
    )
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.get_by_role("button", name="麦克风与扬声器").dispatch_event("click")
    page.get_by_role("button", name="麦克风与扬声器").dispatch_event("click")
    select = page.locator("select.audiooutput")  # one, however often it was pressed
    select.select_option(index=1)
    expect(select).to_have_value("")
    [before, tried, after] = page.evaluate("sinks")
    assert tried
    assert before == after == ""


def test_hanging_up_lets_everything_go(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    closed: list[str] = []
    page.on("websocket", lambda socket: socket.on("close", lambda one: closed.append(one.url)))
    page.evaluate(f"() => {{ {SPY} }}")
    page.locator(".call-start").click()
    in_phase(page, "listening")
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["live"]
    page.locator(".hang-up").click()
    page.locator(".composer").wait_for()
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended"]
    page.wait_for_timeout(300)
    assert [url for url in closed if "/v1/realtime" in url]


def test_a_microphone_that_is_refused_is_asked_for_again(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.evaluate(f"() => {{ {SPY} refusal = 'NotAllowedError'; }}")
    page.locator(".call-start").click()
    expect(page.locator(".call-problem")).to_contain_text("麦克风被拒绝了")
    in_phase(page, "ready")
    expect(page.locator(".call-start")).to_be_focused()
    page.evaluate("refusal = ''")
    page.locator(".call-start").click()
    in_phase(page, "listening")
    expect(page.locator(".call-problem")).to_be_hidden()


@pytest.mark.parametrize("how", ["plugged in", "by the button"])
def test_a_microphone_that_went_comes_back(ring: Ring, how: str) -> None:
    visit = ring(window=PHONE)
    page = visit.page
    page.evaluate(f"() => {{ {SPY} }}")
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.evaluate(f"() => {{ refusal = 'NotFoundError'; {UNPLUG} }}")
    in_phase(page, "deaf")
    expect(page.locator(".call-problem")).to_contain_text("没有找到麦克风")
    expect(page.locator(".call-status")).to_contain_text("听不到你")
    visit.check("call-deaf")
    if how == "plugged in":
        page.evaluate(f"() => {{ {PLUG} }}")
    else:
        page.evaluate("refusal = ''")
        page.get_by_role("button", name="重新打开麦克风").click()
    in_phase(page, "listening")
    expect(page.locator("[aria-label=静音]")).to_be_focused()
    expect(page.locator(".call-problem")).to_be_hidden()
    in_phase(page, "speaking")  # what the new one hears is answered


def test_a_microphone_that_the_system_stills_is_noticed(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.evaluate(f"() => {{ {SPY} }}")
    page.locator(".call-start").click()
    in_phase(page, "listening")
    page.evaluate(
        """() => {
          Object.defineProperty(tracks[0], "muted", { value: true, configurable: true });
          tracks[0].dispatchEvent(new Event("mute"));
        }"""
    )
    in_phase(page, "deaf")
    page.evaluate("() => { delete tracks[0].muted; tracks[0].dispatchEvent(new Event('unmute')); }")
    in_phase(page, "listening")
    page.evaluate("Promise.all(contexts.map((context) => context.suspend()))")
    expect(page.locator(".call")).to_have_attribute("data-phase", "speaking", timeout=20_000)
    assert page.evaluate("contexts.map((context) => context.state)") == ["running", "running"]


def test_a_start_that_fails_lets_the_microphone_go(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    page.evaluate(
        f"""() => {{ {SPY}
          window.load = AudioWorklet.prototype.addModule;
          AudioWorklet.prototype.addModule = async (url) => {{
            throw new DOMException("Unable to load a worklet's module.", "AbortError");
          }};
        }}"""
    )
    page.locator(".call-start").click()
    expect(page.locator(".call-problem")).to_contain_text("连不上服务器")
    in_phase(page, "ready")
    assert set(page.evaluate("tracks.map((track) => track.readyState)")) <= {"ended"}
    page.evaluate("() => { AudioWorklet.prototype.addModule = load; }")
    page.locator(".call-start").click()
    in_phase(page, "listening")


def test_who_leaves_while_the_call_begins_leaves_nothing_behind(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    page.evaluate(
        f"""() => {{ {SPY}
          localStorage.setItem("liyuan.device.audiooutput", '"elsewhere"');
          AudioContext.prototype.setSinkId = () => new Promise((done) => setTimeout(done, 1000));
        }}"""
    )
    page.locator(".call-start").click()
    page.wait_for_timeout(800)
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["live"]
    page.evaluate(f"location.hash = '/c/{visit.conversation_id()}'")
    page.locator(".composer").wait_for()
    page.wait_for_timeout(1_500)
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended"]
    assert [url for url in opened if "/v1/realtime" in url] == []


def test_hanging_up_twice_leaves_once(ring: Ring) -> None:
    visit = ring()
    page = visit.page
    asked: list[str] = []
    page.locator(".call-start").click()
    in_phase(page, "speaking")
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".hang-up").dblclick()
    page.locator(".composer").wait_for()
    page.wait_for_timeout(500)
    screen = f"/api/conversations/{visit.conversation_id()}"
    assert len([url for url in asked if url.endswith(screen)]) == 1


@pytest.mark.speech
@pytest.mark.timeout(500)
def test_a_call_with_the_local_voices_and_ears(
    ring: Ring,
    providers: ProviderProcess,
    weights: Path,  # noqa: F811
) -> None:
    reply = "亮记下了，你慢慢说。"
    providers.script("chat", text=reply)
    settings = {name: value for name, value in providers.settings.items() if "LLM" in name}
    settings |= {"SPEECH": "on", "MODELS_DIR": str(weights)}
    with start_server(settings) as server:
        visit = ring(server=server)
        page = visit.page
        page.locator(".call-start").click()
        in_phase(page, "speaking", seconds=120)
        heard = shown(page, "user")[0]
        assert alike(heard, "你好呀，今天想听我讲个什么故事？") > 0.6
        expect(page.locator(".caption-character")).to_have_text(reply, timeout=120_000)
        in_phase(page, "listening", seconds=60)
        assert loud(page) > 1_000
        page.locator(".hang-up").click()
        page.locator(".composer").wait_for()
        page.wait_for_timeout(2_500)
        assert visit.lines("user") == [heard]
        assert visit.lines("character")[-1] == reply
        visit.end()
