"""What a layer, a cell or a model computes, with shapes, meanings and numbers of its own: ``statewise.explain``."""
