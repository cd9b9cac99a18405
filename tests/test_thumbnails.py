"""The pictures of the example workflows: as square as the page shows them."""

import pytest
from PIL import Image

from launch.thumbnails import CELL, SIDE, grid, montage


@pytest.mark.parametrize("size", [(400, 900), (900, 400), (300, 300)])
def test_a_grid_stands_whole_in_the_middle_of_a_square_of_its_own_colour(size):
    picture = Image.new("RGB", size, "white")
    picture.paste("black", (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    square = grid(picture)
    assert square.size == (SIDE, SIDE)
    assert square.getpixel((1, 1)) == (255, 255, 255)
    assert square.getpixel((SIDE // 2, SIDE // 2)) == (0, 0, 0)


@pytest.mark.parametrize(("n_blocks", "n_seeds"), [(1, 4), (2, 2), (3, 2)])
def test_every_block_shows_each_of_its_rows(n_blocks, n_seeds):
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    row = [Image.new("RGB", (64, 64), colour) for colour in colours for _ in range(n_seeds)]
    sheet = montage({f"block {n}": row for n in range(n_blocks)}, ["a", "b", "c"])
    counted = dict((colour, n) for n, colour in sheet.getcolors(1_000_000))
    n_shown = n_blocks * min(n_seeds, max(1, 4 // n_blocks))
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert counted[colour] == n_shown * CELL**2
