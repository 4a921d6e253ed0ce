"""The page of API keys in headless Chromium, against a server in a process of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.browser import chromium
from tests.page import DESKTOP, PHONE, Visit
from tests.processes import ROOT, ServerProcess, start_server

pytestmark = [pytest.mark.system, pytest.mark.browser]


@pytest.fixture(scope="module")
def pictures() -> Path:
    """Where screenshots go, to be looked at."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def limited() -> Iterator[ServerProcess]:
    """A server that limits what a user may have spoken."""
    with start_server({"USER_MONTHLY_CHARACTERS": "20000", "API_KEYS_PER_USER": "2"}) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visit(
    request: pytest.FixtureRequest, browser: Browser, limited: ServerProcess, pictures: Path
) -> Iterator[Visit]:
    window: ViewportSize = request.param
    begun = Visit.begin(
        browser,
        limited.base_url,
        pictures,
        viewport=window,
        has_touch=window == PHONE,
        permissions=["clipboard-read", "clipboard-write"],
    )
    begun.register()
    yield begun
    begun.end()


def open_keys(visit: Visit) -> Page:
    page = visit.page
    page.locator(".account").click()
    page.locator("dialog a[href='#/keys']").click()
    page.locator(".keys").wait_for()
    expect(page.locator("dialog")).to_have_count(0)
    return page


def create(page: Page, name: str, **limits: str) -> str:
    """Fill in the form; returns the key that is shown once."""
    page.locator(".keys-list button").click()
    form = page.locator(".key-form")
    form.locator("input[name=name]").fill(name)
    if limits:
        form.locator("summary").click()
    for limit, value in limits.items():
        form.locator(f"input[name={limit}]").fill(value)
    form.locator("button[type=submit]").click()
    shown = page.locator("dialog .copy-text")
    shown.wait_for()
    return shown.input_value()


def row(page: Page, name: str) -> Locator:
    return page.locator(".key", has_text=name)


def models(visit: Visit, key: str) -> int:
    """The status with which a program's first question is answered."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{visit.base_url}/v1/models", headers=headers).status_code


def test_a_key_is_made_copied_used_changed_and_revoked(visit: Visit) -> None:
    page = open_keys(visit)
    expect(page.locator(".key-use .copy-text")).to_have_value(f"{visit.base_url}/v1")
    expect(page.locator(".budgets")).to_contain_text("0 / 20,000")
    expect(page.locator(".blank")).to_be_visible()
    visit.check("keys-none")

    page.locator(".keys-list button").click()
    page.locator(".key-form summary").click()
    visit.check("keys-form")
    page.keyboard.press("Escape")
    key = create(page, "家里的音箱", monthly_characters="5000", requests_per_minute="60")
    assert re.fullmatch(r"sk-[\w-]{43}", key)
    visit.check("keys-made")
    page.locator("dialog .copy button").click()
    expect(page.locator("dialog .copy button")).to_have_attribute("aria-label", "已复制")
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.locator("dialog:has(.copy) .actions button").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert key not in page.content()

    made = row(page, "家里的音箱")
    expect(made).to_contain_text(key[:10])
    expect(made).to_contain_text("每月合成字符 0 / 5,000")
    expect(made).to_contain_text("还没用过")
    assert models(visit, key) == 200
    page.reload()
    expect(made).to_contain_text("上次使用")
    visit.check("keys-one")

    made.get_by_role("button", name="修改密钥家里的音箱").click()
    page.locator("input[name=name]").fill("书房的音箱")
    page.locator("select[name=expires_at]").select_option("30")
    page.locator("input[name=monthly_characters]").fill("")
    page.locator(".key-form button[type=submit]").click()
    changed = row(page, "书房的音箱")
    expect(changed).to_contain_text("到期")
    expect(changed).not_to_contain_text("每月合成字符")
    expect(changed).to_contain_text("每分钟请求数 60")
    changed.get_by_role("button", name="修改密钥书房的音箱").click()
    expect(page.locator("select[name=expires_at]")).to_have_value("kept")
    page.keyboard.press("Escape")

    changed.get_by_role("button", name="吊销密钥书房的音箱").click()
    page.locator("dialog .danger").click()
    expect(page.locator(".key")).to_have_count(0)
    assert models(visit, key) == 401


def test_what_is_wrong_is_said_where_it_is(visit: Visit) -> None:
    page = open_keys(visit)
    page.locator(".keys-list button").click()
    form = page.locator(".key-form")
    form.locator("button[type=submit]").click()
    expect(form.locator(".field-error:visible")).to_have_text("请写个名称，日后好认")
    form.locator("input[name=name]").fill("x")
    form.locator("summary").click()
    for wrong in ("0", "-1", "1.5"):
        form.locator("input[name=monthly_seconds]").fill(wrong)
        form.locator("button[type=submit]").click()
        expect(form.locator(".field-error:visible")).to_have_text("请填写正整数，或留空")
    visit.refused.add(400)
    form.locator("input[name=monthly_seconds]").fill("9999999999999")
    form.locator("button[type=submit]").click()
    expect(form.locator(".form-error")).to_contain_text("每月识别秒数必须在1-1000000000000之间")
    form.locator("input[name=monthly_seconds]").fill("9")
    form.locator("button[type=submit]").click()
    page.locator("dialog:has(.copy) .actions button").click()
    create(page, "y")
    page.locator("dialog:has(.copy) .actions button").click()
    page.locator(".keys-list button").click()
    form.locator("input[name=name]").fill("z")
    form.locator("button[type=submit]").click()
    expect(form.locator(".form-error")).to_contain_text("API 密钥最多 2 个")
    page.keyboard.press("Escape")
    expect(page.locator(".key")).to_have_count(2)


def test_it_speaks_english(visit: Visit) -> None:
    page = open_keys(visit)
    page.locator(".word").click()
    expect(page.locator("h1")).to_have_text("API keys")
    create(page, "The speaker at home", monthly_tokens="1000000")
    page.locator("dialog:has(.copy) .actions button").click()
    expect(row(page, "The speaker at home")).to_contain_text("Model tokens a month 0 / 1,000,000")
    expect(row(page, "The speaker at home")).to_contain_text("Never used")
    visit.check("keys-english")
