"""Trainable layers that stand beside Brevitas' own: one file a method, torch only in here."""

from bitwright.models.layers.tiled import TiledConv2d, TiledLinear, Tiling

__all__ = ["TiledConv2d", "TiledLinear", "Tiling"]
