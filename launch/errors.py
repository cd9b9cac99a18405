"""The errors that `run.py` shows without a traceback."""

from __future__ import annotations


class SetupError(Exception):
    """Something outside the project is missing or in the way; the message says what to do."""


class ServerError(SetupError):
    """ComfyUI did not start, died, or answered something unusable."""


class WorkflowError(Exception):
    """A workflow was refused, failed or was interrupted.

    Attributes:
        node_id: the node that failed, or "" where the workflow as a whole was refused.
        exception_type: name of the exception raised in the node, e.g. "ValueError".
        exception_message: its message, as the web page shows it.
        node_errors: the host's own table of errors when it refused the workflow, else empty.
    """

    def __init__(
        self,
        message: str,
        node_id: str = "",
        exception_type: str = "",
        exception_message: str = "",
        node_errors: dict | None = None,
    ):
        super().__init__(message)
        self.node_id = node_id
        self.exception_type = exception_type
        self.exception_message = exception_message
        self.node_errors = node_errors or {}
