"""What `run.py` does: makes an environment, gets a ComfyUI, runs it, and runs the checks on it.

Standard library only: everything here must work before anything is installed.
"""
