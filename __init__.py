"""SepME for ComfyUI: separable concept erasure."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # noqa: ANN201
    """Called by the host to get the nodes."""
    import logging

    try:
        from .nodes import SepMEExtension
    except Exception:
        # The host prints a single line without the traceback.
        logging.getLogger(__name__).exception("SepME could not be loaded")
        raise
    return SepMEExtension()
