"""Every example workflow opens in the real page, runs there, and shows its pictures."""

import json

import pytest

from launch.cache import REPOSITORY
from launch.workflow import to_prompt

pytestmark = pytest.mark.browser

# In order of their names: a later one loads what an earlier one saves.
FILES = {path.stem: path for path in sorted((REPOSITORY / "example_workflows").glob("*.json"))}
EXAMPLES = list(FILES)
# The general list is hundreds of captions to encode: minutes on a busy machine without GPU.
WITHOUT_LIST = """() => app.graph.nodes.flatMap((node) => node.widgets ?? [])
    .filter((widget) => widget.name === "preserve_list")
    .forEach((widget) => { widget.value = "none"; })"""
PROMPT = "async () => JSON.parse(JSON.stringify((await app.graphToPrompt()).output))"


def saved(name):
    return json.loads(FILES[name].read_text(encoding="utf-8"))


def declared_only(prompt, object_info):
    """Without the inputs that only the page knows, such as the text that Preview as Text shows."""
    for node in prompt.values():
        known = object_info[node["class_type"]]["input"]
        names = {*known.get("required", {}), *known.get("optional", {})}
        node["inputs"] = {key: value for key, value in node["inputs"].items() if key in names}
    return prompt


def test_all_stories_are_told_once():
    stories = [name.split("_", 1) for name in EXAMPLES]
    assert [number for number, _ in stories] == [str(n) for n in range(9)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_opens_without_a_warning_is_sent_as_converted_and_runs(page, name, object_info):
    nodes = saved(name)["nodes"]
    page.open_workflow(FILES[name], len(nodes))
    page.screenshot(f"{name}-opened")
    assert page.warnings() == []
    assert page.errors() == []
    assert page.complaints == []
    assert declared_only(page.script(PROMPT), object_info) == to_prompt(saved(name), object_info)

    page.script(WITHOUT_LIST)
    entry = page.run()
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    prefixes = {n["title"]: n["widgets_values"] for n in nodes if n["type"] == "SaveImage"}
    shown = page.pictures()
    assert set(shown) == set(prefixes)
    for title, widths in shown.items():
        whole_grid = prefixes[title] == ["sepme/grid"]
        assert len(widths) == 1 if whole_grid else set(widths) == {512}, shown
    page.screenshot(f"{name}-run")
    assert page.warnings() == []
    assert page.complaints == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_offered_among_the_templates_with_its_picture(page, server, name):
    assert name in server.get("/workflow_templates")["sepme"]
    with page.page.expect_response(lambda answer: answer.url.endswith(f"{name}.json")):
        page.open(f"?template={name}&source=sepme")
    page.wait_for_nodes(len(saved(name)["nodes"]))
    picture = page.page.request.get(f"{server.url}/api/workflow_templates/sepme/{name}.jpg")
    assert picture.ok
    assert picture.body().startswith(b"\xff\xd8")
