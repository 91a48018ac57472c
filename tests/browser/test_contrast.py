"""Luminance and contrast of the pages' colours by WCAG 2, for normal and colour-deficient vision."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Service

Colour = tuple[float, float, float]

TEXT_AND_GROUND = """
(element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    layers.push(style.backgroundColor);
    if (style.filter !== "none") throw new Error("filtered");
  }
  return { text: getComputedStyle(element).color, layers };
}
"""
EYES: dict[str, tuple[Colour, Colour, Colour]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    # Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "greyscale": ((0.2126, 0.7152, 0.0722),) * 3,
}


def rgba(text: str) -> tuple[float, float, float, float]:
    """A computed colour, each part 0 to 1."""
    parts = [float(part) for part in re.findall(r"[\d.]+", text)]
    red, green, blue = (part / 255 for part in parts[:3])
    return red, green, blue, parts[3] if len(parts) > 3 else 1.0


def shown(locator: Locator) -> tuple[Colour, Colour]:
    """The colours of an element's text and of its background, with transparent layers combined."""
    found = locator.evaluate(TEXT_AND_GROUND)
    ground: Colour = (0.0, 0.0, 0.0)
    for layer in reversed(found["layers"]):
        *colour, alpha = rgba(layer)
        ground = tuple(alpha * over + (1 - alpha) * under for over, under in zip(colour, ground, strict=True))  # type: ignore[assignment]
    return rgba(found["text"])[:3], ground


def luminance(colour: Colour, eye: str = "usual") -> float:
    """Relative luminance (WCAG 2.2) of the colour with this kind of vision."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    seen = [min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in EYES[eye]]
    return 0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2]


def contrast(pair: tuple[Colour, Colour], eye: str = "usual") -> float:
    """Contrast ratio of text on its background."""
    dark, bright = sorted(luminance(colour, eye) for colour in pair)
    return (bright + 0.05) / (dark + 0.05)


def test_the_contrast_of_black_on_white_is_what_the_standard_says() -> None:
    assert contrast(((0, 0, 0), (1, 1, 1))) == pytest.approx(21)
    assert contrast((rgba("rgb(119, 119, 119)")[:3], (1, 1, 1))) == pytest.approx(4.48, abs=0.01)


def test_the_number_of_an_alarm_is_never_dimmer_than_calm_ones(service: Service, page: Page) -> None:
    patient = service.admit("dim")
    service.observe(patient, "oxygen_saturation", 97, 10)
    service.observe(patient, "heart_rate", 75, 20)
    for view, row in (("ward/dim", ".row"), (f"patient/{patient}", ".signal")):
        page.goto(f"{service.address}/#/{view}")
        calm, number = (
            page.locator(f'{row}[data-signal="{name}"] .value') for name in ("oxygen_saturation", "heart_rate")
        )
        expect(calm).to_have_text("97", timeout=30_000)
        usual = shown(calm)
        for priority in ("low", "medium", "high"):
            # The state of a row or chart is a class: set it here, and the style sheet does the rest.
            page.locator(f'{row}[data-signal="heart_rate"]').evaluate(
                """(element, priority) => {
                  element.classList.remove("alarm-low", "alarm-medium", "alarm-high");
                  element.classList.add(`alarm-${priority}`, "fault", "old");
                  element.dataset.alarm = priority;
                }""",
                priority,
            )
            alarming = shown(number)
            for eye in EYES:
                assert luminance(alarming[0], eye) >= luminance(usual[0], eye), (view, priority, eye)
                assert contrast(alarming, eye) >= contrast(usual, eye), (view, priority, eye)
            weight = int(number.evaluate("(element) => getComputedStyle(element).fontWeight"))
            assert weight >= int(calm.evaluate("(element) => getComputedStyle(element).fontWeight"))


PRESSED = "button, summary, select, #wards a, .choice span, a.back"
ALL = """
(which) => [...document.querySelectorAll(which)].map((element, i) => {
  const { width, height } = element.getBoundingClientRect();
  return width > 1 && height > 1 && !element.disabled && element.checkVisibility() ? i : -1;
}).filter((i) => i >= 0)
"""


def unreadable(page: Page) -> list[str]:
    """The buttons on screen whose text contrast is below 4.5:1 in any state."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    nodes = session.send("DOM.querySelectorAll", {"nodeId": root, "selector": PRESSED})["nodeIds"]
    places = page.locator(PRESSED)
    found = []
    for i in page.evaluate(ALL, PRESSED):
        for states in (
            [],
            ["hover"],
            ["focus", "focus-visible"],
            ["hover", "active"],
            ["hover", "focus", "focus-visible", "active"],
        ):
            session.send("CSS.forcePseudoState", {"nodeId": nodes[i], "forcedPseudoClasses": states})
            ratio = contrast(shown(places.nth(i)))
            if ratio < 4.5:
                found.append(f"{places.nth(i).inner_text()!r} {states}: {ratio:.1f}")
        session.send("CSS.forcePseudoState", {"nodeId": nodes[i], "forcedPseudoClasses": []})
    session.detach()
    return found


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_buttons_are_readable_in_every_state(
    service: Service, page: Page, scheme: Literal["dark", "light"], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    patient = service.admit("pressed")
    service.observe(patient, "heart_rate", 75, 10)
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator("body[data-link=live] .tile .row").first).to_be_visible(timeout=120_000)
    button = page.locator("#alarms-button")
    for priority in ("high", "medium", "low"):
        for more in ("", " answered"):
            button.evaluate("(element, names) => { element.className = names; }", f"alarms-button {priority}{more}")
            assert unreadable(page) == [], (priority, more)
    page.goto(f"{service.address}/#/patient/{patient}")
    expect(page.locator(".limits button").first).to_be_visible(timeout=30_000)
    page.locator(".limits button").first.click()
    expect(page.locator(".limits form")).to_be_visible()
    page.locator("#who").click()
    assert unreadable(page) == []
    page.goto(f"{service.address}/sign-in.html")
    expect(page.locator("h2").first).not_to_be_empty()
    assert unreadable(page) == []
