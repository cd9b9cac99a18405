"""ComfyUI's web page in a real browser, for tests and screenshots."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page

from launch import cache
from launch.server import Server

MILLISECONDS_TO_OPEN = 60_000
# What the page itself writes whatever is open in it: files a new user does not have yet, and
# look-ups outside this machine, which the server forbids it.
OWN_NOISE = re.compile(r"Failed to load resource|Content Security Policy|Fetch API cannot load")

SHOW_ALL = """() => {
    const { graph } = app.canvas;
    const boxes = [...graph.nodes, ...graph.groups].map((item) => item.boundingRect);
    const left = Math.min(...boxes.map((box) => box[0]));
    const top = Math.min(...boxes.map((box) => box[1]));
    const width = Math.max(...boxes.map((box) => box[0] + box[2])) - left;
    const height = Math.max(...boxes.map((box) => box[1] + box[3])) - top;
    const view = app.canvas.canvas.getBoundingClientRect();
    const scale = Math.min((view.width - 120) / width, (view.height - 160) / height);
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [90 / scale - left, 130 / scale - top];
    app.canvas.setDirty(true, true);
}"""

# Brings the nodes of some types into view, well legible, and gives the rectangle that they fill.
FOCUS = """([types, at]) => {
    const { graph, canvas, ds } = app.canvas;
    const all = graph.nodes.filter((node) => types.includes(node.type));
    const nodes = at === null ? all : [all[at]];
    const boxes = nodes.map((node) => node.boundingRect);
    const left = Math.min(...boxes.map((box) => box[0])) - 12;
    const top = Math.min(...boxes.map((box) => box[1])) - 24;
    const width = Math.max(...boxes.map((box) => box[0] + box[2])) + 12 - left;
    const height = Math.max(...boxes.map((box) => box[1] + box[3])) + 12 - top;
    const view = canvas.getBoundingClientRect();
    ds.scale = Math.min(1.4, (view.width - 420) / width, (view.height - 150) / height);
    ds.offset = [400 / ds.scale - left, 130 / ds.scale - top];
    app.canvas.setDirty(true, true);
    const [x, y] = [view.left + 400, view.top + 130];
    return { x, y, width: width * ds.scale, height: height * ds.scale };
}"""

# The classic canvas keeps its pictures in the node, "Nodes 2.0" shows them in elements of its own.
PICTURES = """() => Object.fromEntries(app.graph.nodes
    .filter((node) => node.type === "SaveImage")
    .map((node) => {
        const shown = document.querySelectorAll(`[data-node-id="${node.id}"] img`);
        const pictures = node.imgs?.length ? node.imgs : [...shown];
        return [node.title, pictures.map((img) => img.complete ? img.naturalWidth : 0)];
    }))"""

ERRORS = "() => app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type)"


@contextmanager
def comfy_page(server: Server, browser: Browser, nodes_2: bool = False) -> Iterator[ComfyPage]:
    """The page in a tab of its own, as a new visitor sees it.

    Args:
        server: the running server.
        browser: a browser that Playwright has started.
        nodes_2: draw the graph with the renderer called "Nodes 2.0" instead of the classic one.
    """
    # The first keeps the page from greeting every new user with its templates. The server
    # remembers settings beyond the tab, so both are always set.
    settings = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": nodes_2}
    server.post("/settings", settings)
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = ComfyPage(context.new_page(), server)
    page.open()
    yield page
    context.close()


class ComfyPage:
    """One tab with ComfyUI in it.

    Attributes:
        page: Playwright's page.
        complaints: the page's console errors and warnings since a workflow was opened, without
            what it writes of its own accord.
    """

    def __init__(self, page: Page, server: Server):
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, query: str = "") -> None:
        """Opens the page and waits until it can be worked with."""
        self.page.goto(f"{self.server.url}/{query}", timeout=MILLISECONDS_TO_OPEN)
        # Whoever opens it is shown some workflow, which comes last and replaces what is there.
        ready = "() => window.LiteGraph && window.app?.extensionManager && app.graph?.nodes.length"
        self.page.wait_for_function(ready, timeout=MILLISECONDS_TO_OPEN)
        self.page.get_by_test_id("queue-button").wait_for(timeout=MILLISECONDS_TO_OPEN)
        self.page.wait_for_load_state("networkidle")

    def open_workflow(self, file: Path, n_nodes: int) -> None:
        """Opens a workflow file as its menu does."""
        self.complaints.clear()
        self.page.set_input_files("#comfy-file-input", file)
        self.wait_for_nodes(n_nodes)

    def wait_for_nodes(self, n_nodes: int) -> None:
        """Waits until the open workflow has that many nodes and the page has drawn them."""
        self.page.wait_for_function(f"() => app.graph.nodes.length === {n_nodes}")
        self.page.wait_for_timeout(1000)

    def script(self, function: str, argument: object = None) -> Any:
        """Runs a JavaScript function in the page; gives its result."""
        return self.page.evaluate(function, argument)

    def warnings(self) -> list[str]:
        """Texts of all dialogs and notices that are open in the page."""
        notices = self.page.locator(".p-dialog, [role=dialog], .p-toast-message, [role=alert]")
        return [text for text in notices.all_inner_texts() if text.strip()]

    def errors(self) -> list[str]:
        """Types of the nodes that the page marks as faulty, unknown ones among them."""
        return self.script(ERRORS)

    def run(self, timeout: float = 300) -> dict:
        """Presses Run and waits until the server is done.

        Returns:
            The server's history entry; its status may tell of an error.
        """
        before = set(self.server.get("/history"))
        self.page.get_by_test_id("queue-button").click()
        end = time.monotonic() + timeout
        while not (new := set(self.server.get("/history")) - before):
            assert time.monotonic() < end, f"not done after {timeout:g} s: {self.warnings()}"
            # Not time.sleep: the page's messages arrive only while Playwright waits.
            self.page.wait_for_timeout(200)
        return self.server.get("/history")[new.pop()]

    def pictures(self) -> dict[str, list[int]]:
        """Widths of the pictures that the page shows, by the title of their SaveImage node."""
        self.script(SHOW_ALL)
        self.page.wait_for_timeout(1500)
        return self.script(PICTURES)

    def screenshot(self, name: str) -> Path:
        """Saves what the page shows, with the whole graph in view and large enough to be read."""
        usual = self.page.viewport_size
        self.page.set_viewport_size({"width": 2400, "height": 1700})
        self.page.wait_for_timeout(300)
        self.script(SHOW_ALL)
        self.page.wait_for_timeout(700)
        path = cache.folder("screenshots") / f"{re.sub(r'[^a-z0-9]+', '-', name).strip('-')}.png"
        self.page.screenshot(path=path)
        self.page.set_viewport_size(usual)
        return path

    def picture(self, name: str, types: list[str] | None = None, at: int | None = None) -> Path:
        """Saves a picture for the README's tour; see `launch.tour`.

        Args:
            name: what it shows.
            types: the nodes to show; by default the sidebar and what lies beside it.
            at: which of them alone; by default all.
        """
        path = cache.folder("screenshots") / f"tour-{name}.png"
        clip = (
            self.script(FOCUS, [types, at])
            if types
            else {"x": 0, "y": 36, "width": 1100, "height": 620}
        )
        self.page.wait_for_timeout(700)
        self.page.screenshot(path=path, clip=clip)
        return path

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not OWN_NOISE.search(message.text):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")
