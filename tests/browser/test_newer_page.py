"""The example workflows in a newer page, in both of its renderers.

Artists update the page more often than anything else, and it is a package of its own. This one is
served by the same old server, so what it complains about on its own account is not counted.
"""

import json
import zipfile

import pytest

from launch import cache, environment
from launch.errors import SetupError
from launch.page import ComfyPage
from launch.server import Server

pytestmark = pytest.mark.browser

VERSION = "1.58.1"
EXAMPLES = sorted((cache.REPOSITORY / "example_workflows").glob("*.json"))
INSIDE = "comfyui_frontend_package/static/"


@pytest.fixture(scope="module")
def front_end_root():
    """The folder of the newer page, fetched once."""
    folder = cache.folder() / f"front-end-{VERSION}"
    if not folder.exists():
        downloads = cache.folder("downloads")
        wanted = f"comfyui-frontend-package=={VERSION}"
        try:
            environment.pip(
                "download",
                "--no-deps",
                "--dest",
                str(downloads),
                wanted,
                doing=f"Fetching page {VERSION}",
            )
        except SetupError as error:
            pytest.skip(str(error))
        unpack(next(downloads.glob(f"comfyui_frontend_package-{VERSION}-*.whl")), folder)
    return folder / INSIDE


def unpack(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith(INSIDE) and not n.endswith(".map")]
        archive.extractall(folder.with_suffix(".part"), names)
    folder.with_suffix(".part").rename(folder)


@pytest.fixture(scope="module")
def newer_server(front_end_root, base_directory):
    with Server(base_directory=base_directory, cpu=True, front_end_root=front_end_root) as running:
        yield running


@pytest.fixture(params=["classic", "nodes-2.0"])
def newer_page(newer_server, browser, request):
    newer_server.post(
        "/settings",
        {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param == "nodes-2.0"},
    )
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = ComfyPage(context.new_page(), newer_server)
    page.open()
    yield page
    page.screenshot(request.node.name)
    context.close()


def n_nodes(file):
    return len(json.loads(file.read_text(encoding="utf-8"))["nodes"])


def test_examples_open_without_a_warning(newer_page):
    assert EXAMPLES
    for file in EXAMPLES:
        newer_page.open_workflow(file, n_nodes(file))
        assert newer_page.warnings() == []
        assert newer_page.errors() == []
        assert [text for text in newer_page.complaints if "sepme" in text.lower()] == []


def test_example_runs_and_shows_its_pictures(newer_page):
    example = next(file for file in EXAMPLES if file.stem == "save_and_switch")
    newer_page.open_workflow(example, n_nodes(example))
    assert newer_page.run()["status"]["status_str"] == "success"
    assert list(newer_page.pictures().values()) == [[256] * 12]
    assert newer_page.warnings() == []
