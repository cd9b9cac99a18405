"""How the demo model was trained: about 50 minutes on two cores.

Run in the environment that run.py makes, from the repository's root, in this order:

    python -m demo.train.pictures OPENMOJI GOOGLE TWITTER   the three unpacked npm packages
    python -m demo.train.vae
    python -m demo.train.encode_text
    python -m demo.train.unet
    python -m demo.train.classifier
    python -m demo.train.store                              packs the results into demo/weights

Results go to `train/` in the cache. Every script but the first and last takes `--steps N` for a
short trial. Seeds are fixed, but another machine's arithmetic gives another, equally good model.
The weights that are stored come from this recipe, ended by the clock instead of a count of steps.
"""
