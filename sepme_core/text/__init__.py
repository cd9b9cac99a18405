"""Concepts and their prompts as rows of a text encoder, and what ordinary language looks like."""
