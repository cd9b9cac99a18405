"""The geometry of text rows: what tells a concept from everything else."""
