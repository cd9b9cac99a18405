"""SepME: separable multi-concept erasure for text-to-image diffusion models.

The method alone, without any host: concept sets, null-space bases, the closed form, the gradient
methods, increments and their file. Source: arXiv:2402.05947 and its extension SRS-ME.
"""
