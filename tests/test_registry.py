"""What the registry's client packs is what the pack needs, and small."""

import subprocess
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 2_000_000


def tracked(*options):
    """Paths that git lists; the registry's client packs those, too."""
    command = ["git", "ls-files", "-z", "--cached", *options]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        pytest.skip("This is no checkout of the repository, so nobody can pack it.")
    return set(filter(None, answer.stdout.split("\0")))


@pytest.fixture(scope="module")
def packed():
    """What is installed with the pack; .comfyignore is read as .gitignore would be."""
    return tracked() - tracked("--ignored", "--exclude-from=.comfyignore")


def test_installed_pack_is_small_and_the_repository_alone_is_not(packed):
    def size(names):
        return sum((ROOT / name).stat().st_size for name in names if (ROOT / name).exists())

    assert size(packed) < MOST_BYTES < size(tracked())


def test_installed_pack_has_all_that_runs_and_is_read_in_the_page(packed):
    folders = ("nodes", "sepme_core", "web", "locales", "example_workflows", "subgraphs")
    needed = {name for name in tracked() if name.split("/")[0] in folders}
    assert {"web/docs/SepME_Eraser/en.md", "sepme_core/data/general.txt"} <= needed
    alone = {"__init__.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}
    assert needed | alone <= packed


def test_nothing_of_the_workshop_is_installed(packed):
    workshop = {name.split("/")[0] for name in tracked()} & {
        "tests",
        "bench",
        "demo",
        "launch",
        "docs",
        "run.py",
    }
    assert "tests" in workshop
    assert not workshop & {name.split("/")[0] for name in packed}


def test_icon_and_banner_have_the_registrys_shapes():
    with Image.open(ROOT / "docs" / "icon.png") as icon:
        assert icon.size == (400, 400)
    with Image.open(ROOT / "docs" / "banner.png") as banner:
        assert banner.width * 9 == banner.height * 21
