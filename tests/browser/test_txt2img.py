"""The first picture, the queue, stopping, and finding everything again, as a person at the page meets them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import (
    BAR,
    INFOTEXT,
    MESSAGE,
    NEGATIVE,
    PICTURE,
    PROMPT,
    SEED,
    begun,
    expect_toast,
    fraction,
    generate,
    interrupt,
    parameters,
    saved,
    set_number,
    shown_infotext,
    state,
    visit,
    words,
)
from tests.jobs.helpers import eventually
from tests.server.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_a_prompt_becomes_a_picture_with_its_parameters(settled: Watched, server: Server) -> None:
    page = settled.page
    set_number(page, "steps", 150)
    set_number(page, "batch_count", 100)
    generate(page, "a slow pear")
    expect(page.locator(BAR)).to_be_visible()
    page.wait_for_function("() => document.title.match(/^\\[\\d+%.*\\] Stable Diffusion$/)")
    first = fraction(page)
    page.wait_for_function(f"() => Number(document.querySelector('{BAR}').ariaValueNow) > {first}")
    expect(page.locator("#txt2img_live .preview")).to_be_visible()
    interrupt(page)
    expect(page.locator(BAR)).to_be_hidden()
    before = set(saved(server.data_dir))
    set_number(page, "steps", 3)
    set_number(page, "batch_count", 1)
    generate(page, "a red apple")
    expect(page.locator(INFOTEXT)).to_contain_text("a red apple")
    expect(page.locator(PICTURE).first).to_be_visible()
    (picture,) = set(saved(server.data_dir)) - before
    assert words(shown_infotext(page)) == words(parameters(picture))
    expect(page.locator(BAR)).to_be_hidden()
    assert page.title() == "Stable Diffusion"
    assert settled.problems == []


@pytest.mark.long
def test_the_gallery_shows_the_saved_file_itself(settled: Watched, server: Server) -> None:
    page = settled.page
    generate(page, "a green pear")
    expect(page.locator(INFOTEXT)).to_contain_text("a green pear", timeout=30_000)
    source = page.locator(PICTURE).first.get_attribute("src") or ""
    assert saved(server.data_dir)[-1].name in source
    body = page.request.get(source).body()
    assert body == saved(server.data_dir)[-1].read_bytes()


def test_pressing_generate_again_queues_and_a_job_can_be_cancelled(settled: Watched, server: Server) -> None:
    page = settled.page
    # Minutes, whatever the machine takes for the clicks; each picture takes two seconds.
    set_number(page, "steps", 40)
    set_number(page, "batch_count", 100)
    generate(page, "first slow")
    generate(page, "second slow")
    generate(page, "third slow")
    rows = page.locator("#txt2img_live .queue li")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("In queue: 2/2")
    rows.nth(1).get_by_role("button", name="Cancel").click()
    expect(rows).to_have_count(1)
    page.click("#txt2img_interrupt")
    expect(rows).to_have_count(0)
    page.click("#txt2img_interrupt")
    expect(page.locator(INFOTEXT)).to_contain_text("second", timeout=30_000)
    assert "third slow" not in {parameters(path).split("\n")[0] for path in saved(server.data_dir)}
    expect(page.locator("#txt2img_recent button")).not_to_have_count(0)


@pytest.mark.long
def test_interrupt_ends_the_job_and_the_next_one_works(settled: Watched) -> None:
    page = settled.page
    set_number(page, "steps", 150)
    set_number(page, "batch_count", 100)
    generate(page, "slow never finished")
    begun(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(BAR)).to_be_hidden()
    assert state(page)["running"] is None
    set_number(page, "steps", 3)
    set_number(page, "batch_count", 1)
    generate(page, "finished after all")
    expect(page.locator(INFOTEXT)).to_contain_text("finished after all", timeout=30_000)


def test_a_running_job_and_the_form_are_found_again_after_a_reload(settled: Watched) -> None:
    page = settled.page
    # Minutes, whatever the machine takes to load the page; each picture takes two seconds.
    set_number(page, "steps", 40)
    set_number(page, "batch_count", 100)
    generate(page, "slow still there")
    begun(page)
    page.fill(NEGATIVE, "kept negative")
    set_number(page, "steps", 33)
    set_number(page, "width", 640)
    page.fill(SEED, "18446744073709551615")
    page.check("#txt2img_subseed_show input")
    stored = "const form = JSON.parse(localStorage.getItem('webui-txt2img') ?? '{}');"
    page.wait_for_function(f"() => {{ {stored} return form.seed_extra && form.seed === '18446744073709551615' }}")
    page.reload()
    expect(page.locator(BAR)).to_be_visible()
    expect(page.locator("#txt2img_live .preview")).to_be_visible()
    expect(page.locator(PROMPT)).to_have_value("slow still there")
    expect(page.locator(NEGATIVE)).to_have_value("kept negative")
    expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("33")
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("640")
    expect(page.locator(SEED)).to_have_value("18446744073709551615")
    expect(page.locator("#txt2img_seed_extras")).to_be_visible()
    page.click("#txt2img_interrupt")
    expect(page.locator(INFOTEXT)).to_contain_text("still there", timeout=30_000)
    page.reload()
    expect(page.locator(INFOTEXT)).to_contain_text("still there")
    expect(page.locator(PICTURE).first).to_be_visible()
    assert page.evaluate("() => [document.activeElement === document.body, scrollY]") == [True, 0]


@pytest.mark.long
def test_a_refused_value_is_named_under_the_gallery(settled: Watched) -> None:
    page = settled.page
    page.fill("#txt2img_seed input, #txt2img_seed textarea", "abc")
    generate(page, "x")
    expect(page.locator(MESSAGE)).to_contain_text("Seed is 'abc'")
    expect_toast(page, "Seed is 'abc'")
    page.click("#txt2img_random_seed")
    set_number(page, "steps", 2)
    generate(page, "works again")
    expect(page.locator(MESSAGE)).not_to_contain_text("abc")
    expect(page.locator(INFOTEXT)).to_contain_text("works again", timeout=30_000)


@pytest.mark.long
def test_a_failed_job_says_why(watched: Watched, server: Server) -> None:
    page = watched.page
    visit(page, server.url)
    generate(page, "oom")
    expect(page.locator(MESSAGE)).to_have_text("The device ran out of memory.")
    page.reload()
    expect(page.locator(MESSAGE)).to_have_text("The device ran out of memory.")
    expect(page.locator(".toasts .note")).to_have_count(0)


def test_hires_fix_says_its_sizes_and_upscales_a_finished_picture(settled: Watched, server: Server) -> None:
    page = settled.page
    expect(page.locator("#txt2img_hr")).to_be_hidden()
    page.check("#txt2img_hr-checkbox input")
    expect(page.locator("#txt2img_hr")).to_be_visible()
    expect(page.locator("#txt2img_hr_sampler_name")).to_be_hidden()
    for name, value in {"width": 256, "height": 128, "hr_scale": 1.5}.items():
        set_number(page, name, value)
    expect(page.locator("#txtimg_hr_finalres")).to_contain_text("from 256×128 to 384×192")
    set_number(page, "hr_resize_x", 640)
    expect(page.locator("#txtimg_hr_finalres")).to_contain_text("to 640×320")
    page.uncheck("#txt2img_hr-checkbox input")
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "31")
    generate(page, "sized and small first")
    expect(page.locator(INFOTEXT)).to_contain_text("small first", timeout=30_000)
    before = len(saved(server.data_dir))
    page.fill("#txt2img_seed textarea, #txt2img_seed input", "-1")
    page.click("#txt2img_upscale")
    eventually(lambda: len(saved(server.data_dir)) > before and state(page)["running"] is None)
    assert len(saved(server.data_dir)) == before + 1
    expect(page.locator(INFOTEXT)).to_contain_text("Seed: 31")
