"""The main stories in a real Chromium: signing in, watching a run, and what is behind each step; no error anywhere."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.frontdoor import ANN, PASSWORD, FrontDoor, front_door
from tests.pipelines.seeded import move_on, seed_demo

from headwater.kube.meta.time import SystemClock

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RUNS = "/ns/team-a/runs"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[FrontDoor]:
    async with front_door(tmp_path) as opened:
        yield opened


@pytest.fixture
async def ids(door: FrontDoor) -> dict[str, str]:
    return await seed_demo(door.records, door.catalog, door.artifacts, SystemClock(), "team-a")


@dataclass
class Tab:
    """A page of the browser, and everything that went wrong on it."""

    page: Any
    url: str
    wrong: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def sign_in(self) -> None:
        await self.page.fill("#username", ANN)
        await self.page.fill("#password", PASSWORD)
        await self.page.click("button[type=submit]")


@pytest.fixture
async def tab(door: FrontDoor) -> AsyncIterator[Tab]:
    playwright = pytest.importorskip("playwright.async_api", reason="the playwright package is not installed")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await browser.new_page(viewport={"width": 1360, "height": 900})
        page.set_default_timeout(20_000)
        opened = Tab(page, door.url)
        page.on("console", lambda said: opened.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: opened.wrong.append(str(error)))
        yield opened
        await browser.close()


async def test_sign_in_guards_the_run_page_and_leads_to_it(tab: Tab, ids: dict[str, str]) -> None:
    from playwright.async_api import expect

    await tab.open(f"/#/runs/details/{ids['finished']}")
    await expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "breast-cancer" not in await tab.page.content()
    await tab.sign_in()
    await expect(tab.page).to_have_url(f"{tab.url}{RUNS}/{ids['finished']}")
    await expect(tab.page.get_by_role("heading", name="breast-cancer", exact=True)).to_be_visible()
    await tab.page.get_by_text("Ann", exact=False).first.click()
    await tab.page.get_by_role("button", name="Sign out").click()
    await expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await tab.open(f"{RUNS}/{ids['finished']}")
    await expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert tab.wrong == []


async def test_a_wrong_password_is_said_and_the_name_is_kept(tab: Tab) -> None:
    from playwright.async_api import expect

    await tab.open("/login")
    await tab.page.fill("#username", ANN)
    await tab.page.fill("#password", "not the password")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("alert")).to_have_text("The name or the password is not right.")
    await expect(tab.page.locator("#username")).to_have_value(ANN)
    await expect(tab.page.locator("#password")).to_have_value("")
    assert [line for line in tab.wrong if "401" not in line] == []


async def test_the_story_of_a_finished_run(tab: Tab, ids: dict[str, str]) -> None:
    from playwright.async_api import expect

    page = tab.page
    await tab.open("/")
    await tab.sign_in()
    await page.get_by_role("link", name="Runs", exact=True).click()
    await page.get_by_role("link", name="breast-cancer", exact=True).click()
    await expect(page.get_by_text("9 succeeded")).to_be_visible()

    await page.get_by_role("link", name="models Succeeded").click()
    await expect(page.locator('.node[data-path="root/for-loop-2/0/train-model"]')).to_be_visible()
    await page.get_by_role("link", name="#1 random-forest", exact=True).click()
    await page.get_by_role("link", name="evaluate Succeeded").click()
    panel = page.locator("#panel")
    await expect(panel.get_by_role("heading", name="models #1 random-forest › evaluate")).to_be_visible()
    await expect(panel.locator("canvas")).to_have_count(2)
    await expect(panel.get_by_text("0.958").first).to_be_visible()
    assert page.url.endswith("?at=root/for-loop-2/1&step=root/for-loop-2/1/evaluate")

    await panel.get_by_role("link", name="Logs").click()
    log = panel.locator("pre")
    await expect(log).to_contain_text("line 39: working on part 39 of 40")
    await panel.get_by_label("Search the log").fill("PART 7 ")
    await expect(log.locator("mark")).to_have_count(1)
    await expect(panel.get_by_text("1 of 42 lines")).to_be_visible()

    await page.go_back()
    await expect(panel.locator("canvas")).to_have_count(2)
    await page.reload()
    await expect(panel.locator("canvas")).to_have_count(2)
    await page.get_by_role("link", name="Results").click()
    await expect(page.locator("#results canvas")).to_have_count(5)
    await page.get_by_role("link", name="YAML").click()
    await expect(page.get_by_text("pipelineInfo:")).to_be_visible()
    assert tab.wrong == []


async def test_a_running_run_changes_before_ones_eyes(tab: Tab, ids: dict[str, str], door: FrontDoor) -> None:
    from playwright.async_api import expect

    page = tab.page
    await tab.open(f"/login?next={RUNS}/{ids['running']}")
    await tab.sign_in()
    await expect(page.locator('.node[data-path="root/pick-best"]')).to_contain_text("Not started")
    await expect(page.get_by_role("button", name="Terminate")).to_be_visible()
    for _ in range(30):
        run = await door.records.get_run(ids["running"])
        assert run is not None
        if run.state.finished:
            break
        await move_on(door.records, door.catalog, door.artifacts, ids["running"])
    await expect(page.locator('.node[data-path="root/pick-best"]')).to_contain_text("Succeeded")
    await expect(page.locator("header.page .pill")).to_have_text("Succeeded")
    await expect(page.get_by_role("button", name="Terminate")).to_have_count(0)
    await expect(page.get_by_text("9 succeeded")).to_be_visible()
    assert tab.wrong == []


async def test_a_run_is_terminated_from_its_page(tab: Tab, ids: dict[str, str], door: FrontDoor) -> None:
    from playwright.async_api import expect

    await tab.open(f"/login?next={RUNS}/{ids['running']}")
    await tab.sign_in()
    tab.page.on("dialog", lambda dialog: dialog.accept())
    await tab.page.get_by_role("button", name="Terminate").click()
    await expect(tab.page.locator("header.page .pill")).to_have_text("Canceling")
    run = await door.records.get_run(ids["running"])
    assert run is not None
    assert run.terminate
    assert tab.wrong == []


async def test_a_run_is_archived_and_deleted_from_its_page(tab: Tab, ids: dict[str, str], door: FrontDoor) -> None:
    from playwright.async_api import expect

    await tab.open(f"/login?next={RUNS}/{ids['failed']}")
    await tab.sign_in()
    tab.page.on("dialog", lambda dialog: dialog.accept())
    await tab.page.get_by_role("button", name="Archive").click()
    await tab.page.get_by_role("button", name="Restore").click()
    await expect(tab.page.get_by_role("button", name="Archive")).to_be_visible()
    await tab.page.get_by_role("button", name="Delete").click()
    await expect(tab.page.get_by_role("heading", name="Runs")).to_be_visible()
    await expect(tab.page.locator("tbody tr")).to_have_count(3)
    assert await door.records.get_run(ids["failed"]) is None
    assert tab.wrong == []


async def test_the_list_filters_as_one_types_and_by_keyboard(tab: Tab, ids: dict[str, str], door: FrontDoor) -> None:
    from playwright.async_api import expect

    page = tab.page
    await tab.open(f"/login?next={RUNS}")
    await tab.sign_in()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(4)
    await page.wait_for_load_state("load")
    await page.keyboard.press("/")
    await page.keyboard.type("state = failed")
    await expect(rows).to_have_count(1)
    assert "state+%3D+failed" in page.url
    await page.keyboard.type("x")
    await expect(page.get_by_role("alert")).to_contain_text("“failedx” is no state")
    await page.get_by_label("Filter runs").fill("")
    await expect(rows).to_have_count(4)
    await door.records.delete_run(ids["failed"])
    await expect(rows).to_have_count(3)
    await page.get_by_role("heading", name="Runs").click()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="breast-cancer, again")).to_be_visible()
    await page.wait_for_load_state("load")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("x")
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_be_hidden()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("exper")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    assert tab.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
async def test_every_page_is_without_errors_and_fits(
    tab: Tab, ids: dict[str, str], door: FrontDoor, scheme: str, width: int
) -> None:
    page = tab.page
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 800})
    await tab.open("/login")
    await tab.sign_in()
    run = await door.records.get_run(ids["finished"])
    assert run is not None
    (_, artifact), *_ = await door.records.load_artifacts(ids["finished"])
    here = f"{RUNS}/{ids['finished']}"
    paths = [
        *("/ns/team-a/", RUNS, here, f"{RUNS}/{ids['failed']}?step=root/split&panel=logs"),
        *(f"{here}?tab={name}" for name in ("results", "events", "yaml", "code")),
        *("/ns/team-a/pipelines", f"/ns/team-a/pipelines/{run.pipeline_id}", "/ns/team-a/experiments"),
        *("/ns/team-a/artifacts", f"/ns/team-a/artifacts/{artifact.artifact_id}"),
    ]
    for path in paths:
        await tab.open(path)
        await page.wait_for_load_state("load")
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px too wide at {width}"
        unnamed = await page.evaluate(UNNAMED)
        assert unnamed == [], f"{path}: {unnamed}"
        if width > 1000:
            assert await faults(page) == [], path
    assert tab.wrong == []


async def faults(page: Any) -> list[str]:
    """Return what axe finds wrong with a page, by the rules of WCAG 2.1 AA."""
    await page.evaluate(AXE)
    found = await page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]


AXE = (Path(__file__).parent / "vendor/axe.js").read_text() + ";0"
UNNAMED = """[...document.querySelectorAll('a, button, input:not([type=hidden]), select, iframe')]
  .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.title || e.labels?.length))
  .map((e) => e.outerHTML.slice(0, 120))"""
"""What a screen reader could not name."""
