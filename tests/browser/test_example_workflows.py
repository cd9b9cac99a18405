"""Every example workflow opens in the real page, runs there, and shows its pictures."""

import json

import pytest

from launch.cache import REPOSITORY
from launch.workflow import to_prompt

pytestmark = pytest.mark.browser

# In this order: the last one loads what the one before it has saved.
EXAMPLES = ["erase_one_concept", "erase_three_restore_one", "save_and_switch", "switch_saved"]
FILES = {name: REPOSITORY / "example_workflows" / f"{name}.json" for name in EXAMPLES}
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


def test_all_example_workflows_are_tried():
    assert sorted(EXAMPLES) == sorted(
        path.stem for path in FILES["switch_saved"].parent.glob("*.json")
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_opens_without_a_warning_and_runs_in_the_page(page, name):
    nodes = saved(name)["nodes"]
    page.open_workflow(FILES[name], len(nodes))
    page.screenshot(f"{name}-opened")
    assert page.warnings() == []
    assert page.errors() == []
    assert page.complaints == []

    entry = page.run()
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    titles = {node["title"] for node in nodes if node["type"] == "SaveImage"}
    shown = page.pictures()
    assert set(shown) == titles
    assert all(widths == [256] * 12 for widths in shown.values()), shown
    assert page.warnings() == []
    assert page.complaints == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_sent_by_the_page_as_the_converter_converts_it(page, name, object_info):
    page.open_workflow(FILES[name], len(saved(name)["nodes"]))
    by_page = declared_only(page.script(PROMPT), object_info)
    assert by_page == to_prompt(saved(name), object_info)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_offered_among_the_templates_with_its_picture(page, server, name):
    assert name in server.get("/workflow_templates")["sepme"]
    with page.page.expect_response(lambda answer: answer.url.endswith(f"{name}.json")):
        page.open(f"?template={name}&source=sepme")
    page.wait_for_nodes(len(saved(name)["nodes"]))
    picture = page.page.request.get(f"{server.url}/api/workflow_templates/sepme/{name}.jpg")
    assert picture.ok
    assert picture.body().startswith(b"\xff\xd8")
