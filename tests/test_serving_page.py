"""The page in a browser: a photo is dropped, and its pose seen."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from serving_place import PlantedPlace, held_place, photo_at, serving

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
PHONE = {"width": 420, "height": 860}
LENGTHS = {  # of errors in metres, and as they are told
    0.0: "0.0 mm",
    0.00994: "9.9 mm",
    0.00997: "1.0 cm",
    0.08: "8.0 cm",
    0.994: "99 cm",
    0.997: "0.997 m",
    1.5: "1.50 m",
    99.97: "100 m",
    999.7: "1000 m",
    12345.6: "12346 m",
}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)


@contextmanager
def page_of(browser, address, **options):
    """Open the service's page; nothing may be asked of others, nor the console complain."""
    context, asked, told = browser.new_context(**options), [], []
    context.set_default_timeout(120_000)  # milliseconds; the machine may be busy
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#map .database")
    yield page
    assert told == []
    own = [url for url in asked if url.startswith((f"{address}/", f"blob:{address}/"))]
    assert asked == own
    context.close()


def drop(page, photo, name="walk.png"):
    """Drop a photo on the page, as from a folder; None: its name alone, as text."""
    page.evaluate(
        """([bytes, name]) => {
            const data = new DataTransfer();
            const photo = bytes && new File([new Uint8Array(bytes)], name, { type: "image/png" });
            photo ? data.items.add(photo) : data.items.add(name, "text/plain");
            for (const kind of ["dragenter", "drop"])
                document.getElementById("drop").dispatchEvent(new DragEvent(kind,
                    { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        [photo and list(photo), name],
    )


def on_map(page, selector):
    """Return where an element is on the map, in its pixels."""
    return np.array([float(page.get_attribute(selector, side)) for side in ("cx", "cy")])


def test_a_dropped_photo_is_seen_where_it_was_taken(browser):
    """It was taken right where a camera of the database was, which is circled."""
    place = PlantedPlace()
    with serving(place) as address, page_of(browser, address) as page:
        assert "study: 60 images, median error 8.0 cm and 1.5°" in page.inner_text("#place")
        drop(page, photo_at(17))
        page.wait_for_selector("#state.accepted")
        np.testing.assert_allclose(on_map(page, "#spot"), on_map(page, ".nearest circle"), atol=1)
        drop(page, photo_at(40, 60))
        page.wait_for_selector("#list dd:has-text('frame-000010')")
        apart = on_map(page, "#spot") - on_map(page, ".nearest circle")
        scale = page.evaluate("document.getElementById('map').clientWidth") / 100
        assert np.linalg.norm(apart) > scale
        x, y, z = place.pose_at(40, 60)[:3, 3]
        told = page.inner_text("#list").replace("−", "-")
        assert all(f"{value:.3f}" in told for value in (x, y, z))
        before = page.get_attribute("#map ellipse", "rx")
        page.click("#centre")
        assert float(page.get_attribute("#map ellipse", "rx")) > float(before)
        page.click("#whole")
        assert page.get_attribute("#map ellipse", "rx") == before


def test_what_is_no_pose_to_rely_on_is_told(browser):
    with (
        serving(PlantedPlace(), limit=5000) as address,
        page_of(browser, address, viewport=PHONE, has_touch=True, is_mobile=True) as page,
    ):
        assert page.is_visible("#take")
        with page.expect_file_chooser() as chooser:
            page.click("#take")
        photo = {"name": "a.png", "mimeType": "image/png", "buffer": photo_at(3, 230)}
        chooser.value.set_files(photo)
        page.wait_for_selector("#state.refused")
        assert "Confidence 0.13 is below 0.4" in page.inner_text("#state")
        assert page.is_visible(".unsure.estimate")
        drop(page, bytes(6000), "big.png")
        page.wait_for_selector("#state.failed")
        assert "big.png: has 6000 bytes, expected at most 5000" in page.inner_text("#state")
        assert page.query_selector(".estimate path#spot") is None
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]


def test_text_that_is_dropped_leaves_the_page_to_the_photo_in_work(browser):
    place, began, release = held_place()
    with serving(place) as address, page_of(browser, address) as page:
        drop(page, photo_at(17))
        assert began.wait(60)
        drop(page, None)
        release.set()
        page.wait_for_selector("#state.accepted")


def test_lengths_are_told_in_the_unit_that_they_are_rounded_to(browser):
    place, lengths = PlantedPlace(), list(LENGTHS)
    usual = place.localise
    place.localise = lambda *photo: usual(*photo) | {"sigma_m": lengths[len(place.seen) - 1]}
    with serving(place) as address, page_of(browser, address) as page:
        for row, told in enumerate(LENGTHS.values()):
            drop(page, photo_at(row))
            page.wait_for_selector(f"#list dd:has-text('frame-{row:06}')")
            assert f"{told}," in page.inner_text("#list")
