"""How the world with language is made; `demo/language/README.md` has the commands and the times.

`pictures` drew pictures.npz from three npm packages. `prepare` writes what training begins with;
`run` trains and measures, on a GPU or without, and goes on where it was ended.
"""
