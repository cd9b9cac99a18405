"""README says what was measured, and its own examples are true."""

import json
from pathlib import Path

from bench.tables import everything, markdown, section

ROOT = Path(__file__).resolve().parent.parent


def test_results_are_those_of_the_measurement():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    assert section(readme) == markdown(results["pieces"])
    told = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert told == everything(results["pieces"])


def test_every_link_and_picture_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if not link.startswith("http")]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []
