"""A running ComfyUI, and its HTTP interface, as one context manager.

with Server(base_directory=folder) as server:
entry = server.run(prompt)
for image in server.images(entry):
data = server.picture(image)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launch import cache, comfyui, environment
from launch.errors import ServerError, SetupError, WorkflowError

_NOTHING = {"nothing": {"class_type": "PreviewAny", "inputs": {"source": "nothing"}}}
SECONDS_TO_START = 180
SECONDS_TO_STOP = 15
SECONDS_TO_ANSWER = 60
# Never through a proxy: the server is this machine.
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Server:
    """ComfyUI as a process of our own, from `with` to the end of its block.

    Args:
        port: the port to listen on; None or 0 takes a free one.
        base_directory: folder made by `comfyui.base_directory`; by default the cache's own.
        cpu: compute on the CPU; None lets torch's own view of the machine decide.
        front_end_root: folder of another build of the web page, or None for the host's own.
        extra_args: further arguments for ComfyUI's main.py.
        host: ComfyUI's folder; by default the one that `comfyui.prepare` gives.
        python: interpreter to run it with; by default the environment's.

    Attributes:
        url: where it answers, without a slash at the end.
        log_path: the file its output goes to.
    """

    def __init__(
        self,
        port: int | None = None,
        base_directory: Path | None = None,
        cpu: bool | None = None,
        front_end_root: Path | None = None,
        extra_args: Sequence[str] = (),
        host: Path | None = None,
        python: Path | None = None,
    ):
        self.host = host or comfyui.prepare()
        self.python = python or environment.python()
        self.base_directory = base_directory or comfyui.base_directory(cache.folder("base"))
        self.cpu = not environment.has_accelerator(self.python) if cpu is None else cpu
        self.front_end_root = front_end_root
        self.extra_args = list(extra_args)
        self.port = _checked(port) if port else _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = cache.folder("logs") / f"comfyui-{self.port}.log"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Server:
        """Starts the process and waits until it answers."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the process."""
        self.stop()

    def start(self) -> None:
        """Starts ComfyUI and waits until it answers.

        Raises:
            ServerError: it ended or stayed silent; the message shows the end of its log.
        """
        # Idle threads that spin slow any second process down many times over.
        env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONIOENCODING": "utf-8"}
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.host, env=env, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the process; does nothing where there is none."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log(self) -> str:
        """Everything the server has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """The decoded JSON answer to a GET of that path, e.g. `/system_stats`."""
        return json.loads(self._request(path))

    def post(self, path: str, payload: object) -> Any:
        """Posts JSON; gives the decoded answer, or None where it is empty."""
        answer = self._request(path, json.dumps(payload).encode())
        return json.loads(answer) if answer.strip() else None

    def object_info(self, node_id: str = "") -> dict:
        """The host's description of its nodes, all of them or the one named."""
        return self.get("/object_info" + (f"/{node_id}" if node_id else ""))

    def queue(self, prompt: dict, client_id: str = "") -> str:
        """Queues a workflow in API form.

        Args:
            prompt: node id -> `{"class_type": …, "inputs": …}`.
            client_id: the id of the websocket that is to hear of it, if any.

        Returns:
            The id to `wait` for.

        Raises:
            WorkflowError: the host refuses it; `node_errors` says why.
        """
        try:
            return self.post("/prompt", {"prompt": prompt, "client_id": client_id})["prompt_id"]
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.read()) from None

    def wait(
        self,
        prompt_id: str,
        timeout: float = 600,
        on_progress: Callable[[float], None] | None = None,
    ) -> dict:
        """Waits until a queued workflow is done.

        Args:
            prompt_id: what `queue` gave.
            timeout: seconds after which to give up; the workflow is then interrupted.
            on_progress: called several times a second with the seconds waited so far.

        Returns:
            The host's history entry: `outputs` by node id, `status`, `prompt`.

        Raises:
            WorkflowError: a node failed, or it was interrupted, or the time is over.
            ServerError: the server ended meanwhile.
        """
        began = time.monotonic()
        while not (entry := self.get(f"/history/{prompt_id}").get(prompt_id)):
            waited = time.monotonic() - began
            if waited > timeout:
                self.interrupt()
                raise WorkflowError(f"The workflow was not done after {timeout:g} seconds.")
            if on_progress:
                on_progress(waited)
            time.sleep(0.05 if waited < 2 else 0.3)
        if entry["status"]["status_str"] != "success":
            raise _failed(entry["status"]["messages"])
        return entry

    def run(self, prompt: dict, timeout: float = 600) -> dict:
        """Queues a workflow and waits for it; see `queue` and `wait`."""
        return self.wait(self.queue(prompt), timeout)

    def interrupt(self) -> None:
        """Asks the running workflow to stop."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Has the host unload its models and forget its cached results before the next run.

        The host only notes the wish. A worker that is busy, or too slow to wake up, takes the next
        prompt first and forgets that one's results: so it gets one of which nothing is needed.
        """
        self.post("/free", {"unload_models": True, "free_memory": True})
        self.run(_NOTHING)

    def images(self, entry: dict, node_id: str = "") -> list[dict]:
        """The image references in a history entry, of all nodes or of one."""
        outputs = entry["outputs"]
        chosen = [outputs.get(node_id, {})] if node_id else outputs.values()
        return [image for output in chosen for image in output.get("images", [])]

    def picture(self, image: dict) -> bytes:
        """The file (PNG as a rule) behind an image reference."""
        names = ("filename", "subfolder", "type")
        query = urllib.parse.urlencode({name: image.get(name, "") for name in names})
        return self._request(f"/view?{query}")

    def _command(self) -> list[str]:
        command = [str(self.python), "main.py", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(self.base_directory), "--disable-auto-launch"]
        # Its database would otherwise be written into ComfyUI's own folder.
        command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        command += ["--cpu"] if self.cpu else []
        command += ["--front-end-root", str(self.front_end_root)] if self.front_end_root else []
        return command + self.extra_args

    def _await_answer(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS_TO_START:
            self.require_alive()
            try:
                self.get("/system_stats")
                return
            except (OSError, ServerError):
                time.sleep(0.2)
        raise ServerError(self._report(f"did not answer within {SECONDS_TO_START} seconds"))

    def require_alive(self) -> None:
        """Raises ServerError, with the end of the log, where the process has ended."""
        code = self._process.poll() if self._process else "none"
        if code is not None:
            raise ServerError(self._report(f"is not running (exit code {code})"))

    def _report(self, what: str) -> str:
        return (
            f"ComfyUI on port {self.port} {what}. The end of its output:\n"
            f"{cache.tail(self.log_path)}\nAll of it: {self.log_path}"
        )

    def _request(self, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with _OPEN(request, timeout=SECONDS_TO_ANSWER) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            raise
        except OSError:
            self.require_alive()
            raise


def _checked(port: int) -> int:
    """That port, if nobody listens on it yet."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise SetupError(
                f"Port {port} is taken by another program (perhaps a ComfyUI that still runs).\n"
                "End it, or name another port with --port; without --port a free one is found."
            )
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _refused(answer: bytes) -> WorkflowError:
    body = json.loads(answer)
    lines = [body.get("error", {}).get("message", "The host refuses the workflow.")]
    for node_id, errors in (body.get("node_errors") or {}).items():
        for error in errors["errors"]:
            lines.append(
                f"node {node_id} ({errors['class_type']}): {error['message']}, {error['details']}"
            )
    return WorkflowError("\n".join(lines), node_errors=body.get("node_errors"))


def _failed(messages: list) -> WorkflowError:
    for kind, about in messages:
        if kind == "execution_error":
            message = about["exception_message"].strip()
            return WorkflowError(
                f"node {about['node_id']} ({about['node_type']}) failed: {message}",
                node_id=about["node_id"],
                exception_type=about["exception_type"],
                exception_message=message,
            )
        if kind == "execution_interrupted":
            return WorkflowError("The workflow was interrupted.", node_id=about["node_id"])
    return WorkflowError(f"The workflow failed, and the host only says: {messages}")
