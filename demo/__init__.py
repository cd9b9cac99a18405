"""The demo checkpoint: a small trained SD1.5-shaped model that draws ten objects in four styles.

Its text encoder is made from a seed, its other parts are stored small in `weights/`; `assemble`
puts them together into a file that ComfyUI's CheckpointLoaderSimple takes.
"""
