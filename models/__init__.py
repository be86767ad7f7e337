"""Models: the integer graph, lowering to it, trainable layers, data and training."""
