"""Measurements on the demo model, through the real server. Not part of the installed pack."""
