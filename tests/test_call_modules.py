"""The parts of the page's call that know nothing of the page, in the browser that runs them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute

from tests.browser import chromium
from tests.platform import PASSWORD
from tests.processes import ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.browser]


@pytest.fixture(scope="module")
def page(server: ServerProcess) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page()
        page.goto(server.base_url)
        yield page


def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """The value of an async function's body; ``m`` is the module and ``x`` the argument."""
    script = f"async (x) => {{ const m = await import('/static/js/{module}'); {body} }}"
    return page.evaluate(script, argument)


# --- audio


TONE = """
  const [from, hertz, block] = x;
  const resampler = new m.Resampler(from, 24000);
  const out = [];
  for (let at = 0; at < from; at += block) {
    const samples = Float32Array.from({ length: Math.min(block, from - at) },
      (_, i) => Math.sin(2 * Math.PI * hertz * (at + i) / from));
    out.push(...resampler.push(samples));
  }
"""
RMS = "Math.sqrt(out.slice(200).reduce((sum, s) => sum + s * s, 0) / (out.length - 200))"


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000, 96_000])
def test_the_resampler_keeps_speech_and_its_length(page: Page, rate: int) -> None:
    length, level = run(
        page, "audio/resampler.js", TONE + f"return [out.length, {RMS}];", [rate, 1_000, 128]
    )
    assert length == pytest.approx(24_000, abs=40)
    assert level == pytest.approx(0.7071, rel=0.01)


@pytest.mark.parametrize("hertz", [13_500, 16_000, 20_000])
def test_the_resampler_folds_nothing_back(page: Page, hertz: int) -> None:
    level = run(page, "audio/resampler.js", TONE + f"return {RMS};", [48_000, hertz, 128])
    assert level < 0.7071 * 10 ** (-50 / 20)  # 50 dB below


def test_blocks_of_any_size_give_the_same_samples(page: Page) -> None:
    one, other = (
        run(page, "audio/resampler.js", TONE + "return out;", [44_100, 440, block])
        for block in (128, 1_000)
    )
    assert one == pytest.approx(other[: len(one)], abs=1e-6)


def test_pcm_there_and_back(page: Page) -> None:
    got = run(
        page,
        "audio/pcm.js",
        """const samples = Int16Array.from([0, 1, -1, 32767, -32768, 256]);
        return [...m.decode(m.encode(samples))].map((sample) => sample * 32768);""",
    )
    assert got == [0, 1, -1, 32_767, -32_768, 256]


QUEUE = """
  const ended = [];
  const queue = new m.PlaybackQueue((id) => ended.push(id));
  const block = (value, length) => new Float32Array(length).fill(value);
  const read = (length = 128) => {
    const output = new Float32Array(length);
    return [queue.read(output), [...output]];
  };
"""


def test_tracks_play_one_after_the_other_without_a_gap(page: Page) -> None:
    samples, ended, last = run(
        page,
        "audio/playback-queue.js",
        QUEUE
        + """queue.push("a", block(0.1, 700)); queue.push("a", block(0.2, 500)); queue.end("a");
        queue.push("b", block(0.3, 400)); queue.end("b");
        const heard = []; let last = null;
        for (let i = 0; i < 13; i++) { const [r, o] = read(); heard.push(...o); last = r ?? last; }
        return [heard.map((s) => Math.round(s * 10)), ended, last];""",
    )
    assert samples == [1] * 700 + [2] * 500 + [3] * 400 + [0] * 64
    assert ended == ["a", "b"]
    assert last == {"id": "b", "played": 400}


def test_it_begins_with_a_little_in_hand_and_waits_longer_once_it_ran_dry(page: Page) -> None:
    states = run(
        page,
        "audio/playback-queue.js",
        QUEUE
        + """const states = [];
        queue.push("a", block(1, 800)); states.push(read()[0]);
        queue.push("a", block(1, 200)); states.push(read(1000)[0].played);
        states.push(read()[0]);
        queue.push("a", block(1, 2000)); states.push(read()[0]);
        queue.push("a", block(1, 1000)); states.push(read()[0].played);
        return states;""",
    )
    assert states == [None, 1_000, None, None, 1_128]


def test_a_short_track_is_not_waited_for(page: Page) -> None:
    got = run(
        page,
        "audio/playback-queue.js",
        QUEUE + 'queue.push("a", block(1, 50)); queue.end("a"); return [read()[0], ended];',
    )
    assert got == [{"id": "a", "played": 50}, ["a"]]


def test_a_flush_fades_out_and_tells_what_was_heard(page: Page) -> None:
    cut, after, then = run(
        page,
        "audio/playback-queue.js",
        QUEUE
        + """queue.push("a", block(0.5, 5000)); queue.push("b", block(0.5, 5000));
        read(1000);
        const cut = queue.flush();
        const [, after] = read();
        queue.push("c", block(0.5, 2000));
        return [cut, after, read()[0]];""",
    )
    assert cut == [{"id": "a", "played": 1_000}, {"id": "b", "played": 0}]
    assert after[0] == pytest.approx(0.5)
    steps = [a - b for a, b in pairwise(after)]
    assert max(abs(step) for step in steps) < 0.01  # no click
    assert after[120:] == [0] * 8
    assert then == {"id": "c", "played": 128}


# --- the call


def test_phases(page: Page) -> None:
    facts = {"begun": True, "connected": True}
    cases = [
        ({}, "ready"),
        ({"begun": True}, "opening"),
        ({"begun": True, "lost": True}, "lost"),
        (facts, "listening"),
        ({**facts, "muted": True}, "muted"),
        ({**facts, "byHand": True}, "held"),
        ({**facts, "byHand": True, "deaf": True}, "deaf"),
        ({**facts, "heard": True, "deaf": True}, "deaf"),
        ({**facts, "speaking": True, "deaf": True}, "speaking"),
        ({**facts, "byHand": True, "heard": True}, "listening"),
        ({**facts, "awaited": True, "muted": True}, "thinking"),
        ({**facts, "awaited": True, "speaking": True}, "speaking"),
        ({**facts, "heard": True, "speaking": True}, "listening"),
        ({**facts, "over": True, "speaking": True}, "over"),
    ]
    got = run(
        page, "call/phase.js", "return x.map((f) => m.phaseOf(f));", [facts for facts, _ in cases]
    )
    assert got == [phase for _, phase in cases]


CAPTIONS = """
  const told = [];
  const captions = new m.Captions((line, removed) =>
    told.push([line.author, line.text, line.cut, removed]));
"""


def test_a_sentence_is_shown_when_it_is_heard_and_never_if_it_was_cut(page: Page) -> None:
    told = run(
        page,
        "call/captions.js",
        CAPTIONS
        + """captions.sentence("a", "一。", 0); captions.sentence("a", "二。", 2000);
        captions.sentence("a", "三。", 4000);
        captions.heard("a", 10); captions.heard("a", 1900); captions.heard("a", 2000);
        captions.cut("a"); captions.heard("a", 5000); captions.finish("a");
        return told;""",
    )
    assert told == [
        ["character", "一。", False, False],
        ["character", "一。二。", False, False],
        ["character", "一。二。", True, False],
    ]


def test_what_was_no_speech_leaves_no_line(page: Page) -> None:
    told = run(
        page,
        "call/captions.js",
        CAPTIONS
        + """captions.userSpeaks("u"); captions.userMore("u", "你"); captions.userMore("u", "好");
        captions.userSaid("u", "你好。"); captions.userSpeaks("v"); captions.userSaid("v", " ");
        return told;""",
    )
    assert told == [
        ["user", "", False, False],
        ["user", "你", False, False],
        ["user", "你好", False, False],
        ["user", "你好。", False, False],
        ["user", "", False, False],
        ["user", "", False, True],
    ]


GATE = """
  const sent = [];
  const gate = new m.Gate((samples) => sent.push(samples[0]));
  const push = (value, heard = false) => gate.push(Int16Array.of(value), heard);
"""


def test_muting_ends_what_was_being_said_and_then_sends_nothing(page: Page) -> None:
    sent, brief = run(
        page,
        "call/gate.js",
        GATE
        + """push(1, true); gate.setMuted(true);
        for (let i = 0; i < 40; i++) push(2, i < 30);
        const spoken = sent.splice(0);
        gate.setMuted(false); push(3); gate.setMuted(true);
        for (let i = 0; i < 40; i++) push(4);
        return [spoken, sent];""",
    )
    assert sent == [1] + [0] * 30  # until the server noticed
    assert brief == [3] + [0] * 15  # it may have been about to notice


def test_a_held_button_sends_what_was_said_just_before_and_after(page: Page) -> None:
    sent, held = run(
        page,
        "call/gate.js",
        GATE
        + """gate.setByHand(true);
        for (let i = 1; i <= 9; i++) push(i);
        gate.press();
        for (let i = 10; i < 20; i++) push(i);
        const held = gate.letGo();
        for (let i = 20; i < 25; i++) push(i);
        return [sent, await held];""",
    )
    assert sent == list(range(6, 22))
    assert held == 400


def test_muting_also_silences_a_button_that_is_held(page: Page) -> None:
    sent, held = run(
        page,
        "call/gate.js",
        GATE
        + """gate.setByHand(true);
        gate.press();
        push(1); gate.setMuted(true); push(2); push(3);
        const held = await gate.letGo();
        gate.setMuted(false); push(4);
        return [sent, held];""",
    )
    assert sent == [1]
    assert held == 0


CALL = """
  const sent = [];
  const problems = [];
  const backs = [];
  const lines = new Map();
  const nothing = () => {};
  const call = new m.Call({ roleId: 1, conversationId: 1, language: "zh" }, {
    phase: nothing, level: nothing, line: nothing,
    caption: (line, removed) =>
      removed ? lines.delete(line.id) : lines.set(line.id, [line.text, line.open]),
    problem: (kind) => problems.push(kind),
    back: (how) => backs.push(how),
  });
  const { dialogue, gate } = call;
  dialogue.send = ({ type }) => sent.at(-1) !== type && sent.push(type);
  const receive = (type, event = {}) => dialogue.receive({ type, ...event });
  const speak = (blocks) => {
    for (let i = 0; i < blocks; i++) gate.push(new Int16Array(960), dialogue.heard);
  };
  receive("session.updated");
"""
APPEND, CLEAR, COMMIT = (f"input_audio_buffer.{what}" for what in ("append", "clear", "commit"))
CREATE, CANCEL = "response.create", "response.cancel"


def test_a_button_pressed_before_the_last_words_were_taken_still_speaks(page: Page) -> None:
    sent, heard = run(
        page,
        "call/call.js",
        CALL
        + """call.setByHand(true); sent.length = 0;
        call.press(); speak(25); const one = call.letGo(); speak(2); await one;
        call.press(); speak(3);
        receive("input_audio_buffer.committed", { item_id: "u1" });
        const heard = dialogue.heard;
        speak(40); const two = call.letGo(); speak(2); await two;
        return [sent, heard];""",
    )
    assert heard
    first, second = [CLEAR, APPEND, COMMIT, CREATE], [CANCEL, CLEAR, APPEND, COMMIT, CREATE]
    assert sent == first + second


def test_a_finger_that_bounces_holds_on(page: Page) -> None:
    sent, problems = run(
        page,
        "call/call.js",
        CALL
        + """call.setByHand(true); sent.length = 0;
        call.press(); speak(50); const one = call.letGo(); speak(1);
        call.press(); await one;
        speak(2); const two = call.letGo(); speak(2); await two;
        return [sent, problems];""",
    )
    assert sent == [CLEAR, APPEND, COMMIT, CREATE]
    assert problems == []


def test_without_a_microphone_the_button_holds_nothing(page: Page) -> None:
    sent = run(
        page,
        "call/call.js",
        CALL
        + "call.setByHand(true); sent.length = 0; call.deaf = true; call.press();"
        + " return [sent, dialogue.heard];",
    )
    assert sent == [[], False]


def test_an_answer_that_was_withheld_is_no_silence(page: Page) -> None:
    problems = run(
        page,
        "call/call.js",
        CALL
        + """receive("input_audio_buffer.speech_stopped");
        receive("response.created", { response: { id: "r" } });
        receive("response.done", { response: { id: "r", status: "incomplete",
          status_details: { reason: "content_filter" }, output: [] } });
        return [problems, dialogue.awaited];""",
    )
    assert problems == [["declined"], False]


def test_of_an_error_one_is_told_what_one_can_do(page: Page) -> None:
    problems = run(
        page,
        "call/call.js",
        CALL
        + """for (const code of x) receive("error", { error: { code, message: "In English." } });
        return problems;""",
        ["rate_limit_exceeded", "response_cancel_not_active", "invalid_api_key", "server_error"],
    )
    assert problems == ["busy", "expelled", "refused"]


@pytest.mark.parametrize("end", ["dialogue.drop()", "receive('input_audio_buffer.cleared')"])
def test_what_nobody_will_understand_any_more_does_not_stay_open(page: Page, end: str) -> None:
    lines = run(
        page,
        "call/call.js",
        CALL
        + f"""const more = "conversation.item.input_audio_transcription.delta";
        receive("input_audio_buffer.speech_started", {{ item_id: "u" }});
        receive("input_audio_buffer.committed", {{ item_id: "u" }});
        receive(more, {{ item_id: "u", delta: "好" }});
        receive("input_audio_buffer.speech_started", {{ item_id: "v" }});
        {end};
        return [...lines];""",
    )
    assert lines == [["u", ["好", "cleared" in end]]]  # it is taken, and may still be understood


RENEWAL = (
    CALL
    + """dialogue.drop();
    receive("session.updated", { session: { expires_at: Date.now() / 1000 + 1800 } });
    const due = () => [dialogue.due, dialogue.due && dialogue.pauses];
    Object.assign(window, { due, receive, dialogue, backs });
"""
)


@pytest.fixture
def clocked(page: Page, server: ServerProcess) -> Iterator[Page]:
    """A page whose clock the test turns."""
    assert page.context.browser
    own = page.context.browser.new_page()
    own.clock.install()
    own.goto(server.base_url)
    yield own
    own.close()


def test_a_session_is_renewed_in_the_last_pause(clocked: Page) -> None:
    run(clocked, "call/call.js", RENEWAL)
    clocked.evaluate("receive('input_audio_buffer.speech_started', { item_id: 'u' })")
    clocked.clock.fast_forward(1_700_000)
    assert clocked.evaluate("due()") == [False, False]
    clocked.clock.fast_forward(20_000)
    assert clocked.evaluate("due()") == [True, False]  # in mid-sentence
    backs = clocked.evaluate(
        """() => {
          receive('input_audio_buffer.committed', { item_id: 'u' });
          const ripe = due();
          receive('input_audio_buffer.speech_started', { item_id: 'v' });
          dialogue.drop();
          receive('session.updated', { session: {} });
          return [ripe, backs.at(-1), due()];
        }"""
    )
    assert backs == [[True, True], "expired", [False, False]]


@pytest.fixture
def signed_in(clocked: Page) -> Page:
    """As somebody new."""
    run(
        clocked,
        "api.js",
        """const { setSession } = await import("/static/js/session.js");
        const name = `u${Math.random().toString(36).slice(2, 12)}`;
        const body = { username: name, password: x };
        setSession(await m.call("POST", "/api/auth/register", { anonymous: true, body }));""",
        PASSWORD,
    )
    return clocked


SOCKET = """
  const patience = ({ type }) => type === "asks" ? 10000 : 0;
  const protocols = () => [];
  window.states = [];
  window.socket = new m.Socket("/nowhere", {
    onmessage: () => {}, onstate: (state) => states.push(state) }, { protocols, patience });
  socket.open();
"""


def test_a_line_that_does_not_answer_is_dead(signed_in: Page) -> None:
    lines: list[WebSocketRoute] = []
    signed_in.route_web_socket("**/nowhere", lambda line: lines.append(line))
    run(signed_in, "socket.js", SOCKET)
    while signed_in.evaluate("socket.state") != "open":
        signed_in.wait_for_timeout(50)
    signed_in.evaluate("socket.send({ type: 'says' })")
    signed_in.clock.fast_forward(20_000)
    signed_in.evaluate("socket.send({ type: 'asks' })")
    signed_in.clock.fast_forward(9_000)
    lines[0].send("{}")
    signed_in.wait_for_timeout(200)
    signed_in.clock.fast_forward(9_000)
    assert signed_in.evaluate("states") == ["opening", "open"]
    signed_in.evaluate("socket.send({ type: 'asks' })")
    signed_in.clock.fast_forward(10_500)
    assert signed_in.evaluate("states")[:3] == ["opening", "open", "waiting"]


def test_a_line_does_not_wait_for_ever_for_what_it_asks_before(signed_in: Page) -> None:
    asked: list[Route] = []
    signed_in.route("**/api/auth/me", lambda route: asked.append(route))  # and no answer
    signed_in.route_web_socket("**/nowhere", lambda route: route.close())
    run(signed_in, "socket.js", SOCKET)
    while not asked:
        signed_in.clock.fast_forward(1_000)
        signed_in.wait_for_timeout(100)
    assert signed_in.evaluate("socket.state") == "opening"
    signed_in.clock.fast_forward(10_000)
    assert signed_in.evaluate("states.at(-1)") == "waiting"


@pytest.mark.parametrize(
    ("status", "why"),
    [(404, "closed"), (403, "closed"), (429, "full"), (503, "full"), (200, "blocked"), (500, "")],
)
def test_why_there_is_no_line(signed_in: Page, status: int, why: str) -> None:
    signed_in.route(
        "**/v1/realtime/client_secrets", lambda route: route.fulfill(status=status, body="{}")
    )
    assert run(signed_in, "call/refusal.js", "return m.whyRefused();") == why
