"""The server of the other host tests: what it promises them."""

import pytest

from launch.errors import SetupError, WorkflowError
from launch.server import Server

pytestmark = pytest.mark.host


def test_server_describes_the_host_and_its_nodes(server):
    assert server.get("/system_stats")["system"]["comfyui_version"]
    assert "KSampler" in server.object_info()
    assert list(server.object_info("KSampler")) == ["KSampler"]


def test_refused_workflow_names_the_node_and_the_reason(server):
    with pytest.raises(WorkflowError, match=r"node 7 \(SaveImage\): .*images") as refused:
        server.queue({"7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}})
    assert "7" in refused.value.node_errors


def test_failed_workflow_names_the_node_and_the_exception(server, base_directory):
    broken = base_directory / "models" / "checkpoints" / "broken.safetensors"
    broken.write_bytes(b"not a checkpoint")
    load = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": broken.name}}
    decode = {"class_type": "VAEEncode", "inputs": {"pixels": ["3", 0], "vae": ["1", 2]}}
    empty = {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    }
    back = {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}}
    show = {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}}
    with pytest.raises(WorkflowError) as failed:
        server.run({"1": load, "2": decode, "3": empty, "4": back, "5": show}, timeout=60)
    broken.unlink()
    assert failed.value.node_id == "1"
    assert failed.value.exception_type
    assert failed.value.exception_message in str(failed.value)
    assert server.get("/system_stats"), "the server lives on"


def test_taken_port_is_refused_with_its_number(server):
    with pytest.raises(SetupError, match=f"Port {server.port} is taken"):
        Server(port=server.port, base_directory=server.base_directory, cpu=True)


def test_picture_is_what_the_workflow_drew(server):
    colour = {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 0xFF0000},
    }
    show = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    images = server.images(server.run({"1": colour, "2": show}, timeout=60))
    assert len(images) == 2
    assert server.picture(images[0]).startswith(b"\x89PNG")
