"""ComfyUI's real page in a headless Chromium, against a real server with the pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from torchvision.transforms.functional import to_pil_image

from demo import assemble
from demo.pictures import training_pictures
from demo.vocabulary import OBJECTS
from launch import cache, chromium, comfyui
from launch.page import ComfyPage, comfy_page
from launch.server import Server
from tests.browser.front_ends import PAGES, Servers, serve

CHECKPOINT = "sepme_demo.safetensors"
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
).split()


@pytest.fixture(scope="session")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's base directory, with the pack and the demo checkpoint and nothing saved yet."""
    checkpoint = assemble.assemble(cache.folder("models") / CHECKPOINT)
    return comfyui.base_directory(tmp_path_factory.mktemp("comfyui"), [checkpoint])


@pytest.fixture(scope="session")
def server(base_directory: Path) -> Iterator[Server]:
    """A running ComfyUI with its own page."""
    with Server(base_directory=base_directory, cpu=True) as running:
        yield running


@pytest.fixture(scope="session")
def servers(server: Server, base_directory: Path) -> Iterator[Servers]:
    """Running servers with older and newer pages, by the page's version."""
    with ExitStack() as pages:
        yield serve(pages, base_directory, server)


@pytest.fixture(scope="session")
def shelf(server: Server) -> list[str]:
    """Three increments in the library: their files' names."""
    load = {"ckpt_name": CHECKPOINT}
    erase = {"model": ["1", 0], "clip": ["1", 1], "concepts": "cat\ndog\nrocket"}
    save = {"stack": ["2", 1], "folder": "shelf", "overwrite": True}
    server.run(
        {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": load},
            "2": {"class_type": "SepME_Eraser", "inputs": erase},
            "3": {"class_type": "SepME_Save", "inputs": save},
        }
    )
    return [f"shelf/{name}.safetensors" for name in ("cat", "dog", "rocket")]


@pytest.fixture
def lent(shelf: list[str], base_directory: Path) -> Iterator[Path]:
    """The three increments in a folder of this test's own, with pictures beside them."""
    library = base_directory / "models" / "sepme"
    folder = library / "lent"
    folder.mkdir()
    pictures, objects, _ = training_pictures()
    for file in shelf:
        path = shutil.copy(library / file, folder)
        number = objects.tolist().index(OBJECTS.index(folder.joinpath(path).stem))
        to_pil_image(pictures[number]).save(folder.joinpath(path).with_suffix(".webp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def object_info(server: Server) -> dict:
    """The server's description of all its nodes."""
    return server.object_info()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    program = chromium.find()
    if program is None:
        pytest.skip(f"No Chromium was found. {chromium.HOW_TO_GET_ONE}")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(program), args=ARGUMENTS)


@pytest.fixture
def page(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Iterator[ComfyPage]:
    """The page of a new visitor; a screenshot of its end goes to the cache's `screenshots`."""
    with comfy_page(server, browser) as opened:
        yield opened
        opened.screenshot(request.node.name)


@pytest.fixture(params=["classic", "nodes-2.0"])
def either_page(
    server: Server, browser: Browser, request: pytest.FixtureRequest
) -> Iterator[ComfyPage]:
    """The page in one renderer, then in the other; with the screenshot."""
    with comfy_page(server, browser, nodes_2=request.param == "nodes-2.0") as opened:
        yield opened
        opened.screenshot(request.node.name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of `any_page` see the one that their mark names, or all of them with `--all-pages`."""
    if "any_page" in metafunc.fixturenames:
        (named,) = metafunc.definition.get_closest_marker("page").args
        chosen = PAGES if metafunc.config.getoption("--all-pages") else [named]
        metafunc.parametrize("any_page", chosen, indirect=True)


@pytest.fixture
def any_page(
    servers: Servers, browser: Browser, request: pytest.FixtureRequest
) -> Iterator[ComfyPage]:
    """A page of some version, in one of its renderers; with the screenshot."""
    version, renderer = request.param.split()
    with comfy_page(servers(version), browser, nodes_2=renderer == "nodes-2.0") as opened:
        yield opened
        opened.screenshot(request.node.name)
