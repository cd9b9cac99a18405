"""What must not happen: changed weights, half a file, a dead server, an unclear error."""

import json
import threading
import time
from contextlib import closing

import pytest
import torch
import websocket
from safetensors.torch import load_file, save_file

from demo.graphs import Graph, report
from launch.errors import WorkflowError

pytestmark = pytest.mark.host


def host_weights(server, base_directory) -> dict[str, torch.Tensor]:
    """All parameters of the loaded model, text encoder and VAE, as the host itself saves them."""
    graph = Graph()
    prefix = f"weights/{time.monotonic_ns()}"
    graph.add(
        "CheckpointSave", model=graph.model, clip=graph.clip, vae=graph.vae, filename_prefix=prefix
    )
    server.run(graph.nodes)
    (file,) = (base_directory / "output" / "weights").glob(f"{prefix.split('/')[1]}*")
    try:
        return load_file(file)
    finally:
        file.unlink()


def refining(**settings) -> tuple[Graph, str]:
    graph = Graph()
    defaults = {"method": "refine", "max_steps": 3, "n_latents": 1}
    return graph, graph.compute(graph.concepts("cat"), **(defaults | settings))


def watching(server, graph: Graph) -> tuple[websocket.WebSocket, str]:
    """A queued graph and the websocket that hears of it."""
    socket = websocket.create_connection(
        server.url.replace("http", "ws") + "/ws?clientId=test", timeout=120
    )
    return socket, server.queue(graph.nodes, client_id="test")


def test_computing_never_changes_the_hosts_weights(server, base_directory):
    before = host_weights(server, base_directory)
    graph, compute = refining()
    report(server, graph, compute)  # done
    graph, compute = refining(seed=1, max_steps=1000, learning_rate=1e-9)
    graph.add("PreviewAny", source=(compute, 1))
    socket, prompt = watching(server, graph)
    cancel_at_step(server, socket, 2)
    with pytest.raises(WorkflowError, match=r"(?i)interrupt"):
        server.wait(prompt)
    graph, compute = refining(seed=2, max_steps=50, learning_rate=10.0)
    graph.nodes[compute]["inputs"]["learning_rate"] = 1e30  # refused: out of range
    graph.add("PreviewAny", source=(compute, 1))
    with pytest.raises(WorkflowError):
        server.run(graph.nodes)
    after = host_weights(server, base_directory)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def cancel_at_step(server, socket, step: int) -> int:
    """Interrupts once the progress text names that step; gives the last step that was reported."""
    with closing(socket):
        return _last_step(server, socket, step)


def _last_step(server, socket, step: int) -> int:
    last, asked = 0, False
    while True:
        message = socket.recv()
        if isinstance(message, bytes):
            text = message[8:].decode(errors="replace")
            if "step" in text and "/1000" in text:
                last = int(text.split("step ")[1].split("/")[0])
                if last >= step and not asked:
                    asked = True
                    threading.Thread(target=server.interrupt).start()
        elif json.loads(message)["type"] in ("execution_interrupted", "execution_error"):
            return last


def test_cancel_stops_within_a_step_and_progress_names_the_correlation(server):
    graph, compute = refining(seed=3, max_steps=1000, learning_rate=1e-9)
    graph.add("PreviewAny", source=(compute, 1))
    socket, prompt = watching(server, graph)
    last = cancel_at_step(server, socket, 4)
    with pytest.raises(WorkflowError):
        server.wait(prompt)
    # One step may be under way while the request travels.
    assert 4 <= last <= 6
    graph, compute = refining()
    assert "correlation" in report(server, graph, compute)


def refused(server, graph: Graph, *output) -> str:
    """The message of a workflow that must fail; the server must live on."""
    graph.add("PreviewAny", source=output)
    with pytest.raises(WorkflowError) as error:
        server.run(graph.nodes)
    assert server.get("/system_stats")["system"]
    return str(error.value)


@pytest.mark.parametrize(
    ("concepts", "fields", "words"),
    [
        ("", {}, ["No concept"]),
        ("cat\nCat", {}, ["'Cat'", "twice"]),
        ("cat\n| kitten", {}, ["line 2", "name is empty"]),
        ("cat -> a -> b", {}, ["line 1", "->"]),
        ("cat", {"templates": "a photo"}, ["'a photo'", "{}"]),
        ("cat", {"protected_concepts": "cat"}, ["'cat'", "protected"]),
        ("cat", {"protected_prompts": "CAT"}, ["'CAT'", "protected"]),
    ],
)
def test_unreadable_concepts_are_refused_with_what_to_do(server, concepts, fields, words):
    graph = Graph()
    message = refused(server, graph, *graph.concepts(concepts, **fields))
    for word in words:
        assert word in message


def test_concept_that_cannot_be_told_from_a_protected_prompt_is_refused(server):
    graph = Graph()
    concepts = graph.concepts("cat", protected_concepts="cat ()")  # the same embeddings
    message = refused(server, graph, graph.compute(concepts), 1)
    assert "'cat' cannot be erased" in message
    assert "protected prompt" in message


def test_too_many_protected_prompts_for_the_exact_basis_are_refused(server):
    graph = Graph()
    names = "dog\nrose\ncar\npizza\nguitar\nhouse\napple\nfish\nrocket\ntree\nsun\nmoon\nboat"
    set_ = graph.concepts("cat", protected_concepts=names)
    message = refused(server, graph, graph.compute(set_, protection="full"), 1)
    assert "768" in message
    assert "truncated" in message


def test_unknown_names_are_refused_with_what_is_there(server):
    graph = Graph()
    compute = graph.compute(graph.concepts("cat", "dog"))
    model = graph.apply((compute, 0))
    gone = graph.add("SepME_Remove", model=model, names="horse")
    message = refused(server, graph, gone, 0)
    assert "'horse'" in message
    assert "cat, dog" in message
    graph = Graph()
    message = refused(server, graph, graph.compute(graph.concepts("cat"), erase="horse"), 1)
    assert "'horse'" in message
    graph = Graph()
    message = refused(server, graph, graph.add("SepME_Remove", model=graph.model, names="cat"), 0)
    assert "nothing to remove" in message


@pytest.fixture
def saved(server, base_directory):
    """One good increment file and its folder."""
    graph = Graph()
    compute = graph.compute(graph.concepts("cat"))
    graph.add("SepME_Save", stack=(compute, 0), folder="bad", overwrite=True)
    server.run(graph.nodes)
    return base_directory / "models" / "sepme" / "bad" / "cat.safetensors"


def load_increment(server, file) -> str:
    server.get("/object_info/SepME_Load")  # the host lists the folder again
    graph = Graph()
    load = graph.add("SepME_Load", increment=f"bad/{file.name}", enabled=True, strength=1.0)
    return refused(server, graph, load, 0)


def test_damaged_foreign_and_newer_files_are_refused(server, saved):
    whole = saved.read_bytes()
    cases = {
        "short.safetensors": (whole[: len(whole) // 2], "damaged"),
        "noise.safetensors": (b"\x07" * 500, "damaged"),
        "newer.safetensors": (whole.replace(b'"sepme.format":"1"', b'"sepme.format":"9"'), "9"),
    }
    for name, (content, word) in cases.items():
        saved.with_name(name).write_bytes(content)
        message = load_increment(server, saved.with_name(name))
        assert name in message
        assert word in message
    save_file({"x": torch.zeros(2)}, saved.with_name("lora.safetensors"))
    assert "not an increment" in load_increment(server, saved.with_name("lora.safetensors"))


def test_increment_of_another_text_width_is_refused(server, saved):
    from sepme_core.increment_file import read_increment, to_bytes

    increment = read_increment(saved)
    narrow = torch.linalg.qr(increment.basis[:, :512].T)[0].T.contiguous()
    object.__setattr__(increment, "basis", narrow)
    saved.with_name("narrow.safetensors").write_bytes(to_bytes(increment))
    server.get("/object_info/SepME_Load")
    graph = Graph()
    load = graph.add("SepME_Load", increment="bad/narrow.safetensors", enabled=True, strength=1.0)
    message = refused(server, graph, *graph.apply((load, 0)))
    assert "512" in message
    assert "768" in message


def test_saving_over_another_increment_is_refused_and_leaves_the_file(server, saved):
    before = saved.read_bytes()
    graph = Graph()
    compute = graph.compute(graph.concepts("cat", "dog"), erase="cat")
    save = graph.add("SepME_Save", stack=(compute, 0), folder="bad", overwrite=False)
    message = refused(server, graph, save, 0)
    assert "overwrite" in message
    assert saved.read_bytes() == before
    assert not list(saved.parent.glob("*.tmp"))


def test_saving_outside_the_folder_is_refused(server):
    graph = Graph()
    compute = graph.compute(graph.concepts("cat"))
    save = graph.add("SepME_Save", stack=(compute, 0), folder="../../..", overwrite=False)
    assert "outside" in refused(server, graph, save, 0)


def test_merged_mode_refuses_what_weights_cannot_follow(server):
    graph = Graph()
    compute = graph.compute(graph.concepts("cat"))
    model = graph.apply((compute, 0), mode="merged", end_percent=0.5)
    assert "exact mode" in refused(server, graph, *model)
