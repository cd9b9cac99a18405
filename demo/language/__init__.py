"""The world with language: a small model of today's architecture with a real language model.

ComfyUI's NextDiT (Z-Image's and Lumina's architecture) draws 120 objects in four styles from what
SmolLM2-135M makes of a prompt. `loader` gives MODEL, CLIP and VAE as the host's own objects.
"""
