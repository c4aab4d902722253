"""A headless Chromium, driven through Debian's chromedriver."""

import base64
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)

# The contrast (WCAG 2.2, 1.4.3) of each text that is seen with the ground that it stands on: the worst ones first.
_CONTRASTS = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const over = (front, back) => {
  const alpha = front[3] ?? 1;
  return [0, 1, 2].map((index) => front[index] * alpha + back[index] * (1 - alpha));
};
const luminance = (colour) => {
  const [red, green, blue] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const grounds = new Map([[null, [255, 255, 255]]]);
const ground = (element) => {
  if (!grounds.has(element)) {
    const colour = channels(getComputedStyle(element).backgroundColor);
    grounds.set(element, over(colour, ground(element.parentElement)));
  }
  return grounds.get(element);
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (/script|style/i.test(element.tagName)) continue;
  const back = ground(element);
  const front = over(channels(getComputedStyle(element).color), back);
  const [light, dark] = [luminance(front), luminance(back)].sort((one, other) => other - one);
  found.push([(light + 0.05) / (dark + 0.05), walker.currentNode.data.trim().slice(0, 60)]);
}
return found.sort((one, other) => one[0] - other[0]).slice(0, 5);
"""


class Browser:
    """One window of a browser with an empty profile."""

    def __init__(self) -> None:
        assert CHROMIUM is not None, "chromium is not installed: apt-get install chromium"
        assert DRIVER is not None, "chromedriver is not installed: apt-get install chromium-driver"
        self._profile = tempfile.TemporaryDirectory(prefix="mcproxy-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in (*OPTIONS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self._requested: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._driver.quit()
        self._profile.cleanup()

    def look(self, width: int, scheme: str = "light", height: int = 900) -> None:
        """Be a window of this size (in CSS pixels) of somebody who likes it `light` or `dark`."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def open(self, url: str) -> None:
        self._driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What a function body of JavaScript returns; it is run by the driver, past the page's own policy."""
        return self._driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What is seen of the first such element, and of all in it."""
        script = """const found = document.querySelector(arguments[0]);
        return found.checkVisibility() ? found.innerText.trim() : "";"""
        return str(self.run(script, selector))

    def texts(self, selector: str) -> list[str]:
        """The same of every such element, with its white space as single spaces."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)"
        return [" ".join(text.split()) for text in self.run(script, selector)]

    def refresh(self) -> None:
        """Have the page ask now, as it does when its tab is looked at again."""
        self.run("document.dispatchEvent(new Event('visibilitychange'))")

    def overflow(self) -> list[str]:
        """What sticks out of the window to the right, where one would have to scroll the page sideways."""
        script = """
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > width + 1)
            .map((one) => `${one.tagName} ${one.className} ${one.id}`);"""
        return list(self.run(script))

    def worst_contrasts(self) -> list[tuple[float, str]]:
        return [(float(contrast), str(text)) for contrast, text in self.run(_CONTRASTS)]

    def problems(self) -> list[str]:
        """What the console holds since the last call: errors, warnings, violations of the policy."""
        return [str(entry["message"]) for entry in self._driver.get_log("browser")]

    def requested(self) -> list[str]:
        """All addresses that were asked for, data: and the browser's own pages apart."""
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requested.append(message["params"]["request"]["url"])
        return [url for url in self._requested if not url.startswith(("data:", "chrome:", "about:"))]

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def command(self, name: str, **parameters: object) -> Any:
        """A command of the Chrome DevTools Protocol."""
        return self._driver.execute_cdp_cmd(name, parameters)
