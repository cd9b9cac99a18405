"""The demo's table counts what is on its pictures, also on enlarged ones."""

import numpy as np
from PIL import Image

from demo import pictures
from demo.score import GRID, seen, table
from demo.vocabulary import OBJECTS


def test_enlarged_pictures_are_seen_like_the_originals(tmp_path):
    with np.load(pictures.FILE) as stored:
        images, objects = stored["imgs"][:8], stored["obj"][:8]
    for folder, factor in (("plain", 1), ("large", 4)):
        target = tmp_path / "story" / folder
        target.mkdir(parents=True)
        for number, image in enumerate(images):
            enlarged = image.repeat(factor, 0).repeat(factor, 1)
            Image.fromarray(enlarged).save(target / f"{number:02}.png")
    found = [seen(sorted((tmp_path / "story" / f).glob("*.png"))) for f in ("plain", "large")]
    assert found[0] == found[1]
    assert found[0][OBJECTS[int(objects[0])]] >= 3
    sheet = tmp_path / "story" / GRID
    sheet.mkdir()
    Image.new("RGB", (630, 401)).save(sheet / "00.png")
    assert [row[:2] for row in table(tmp_path)] == [("story", "large"), ("story", "plain")]
