"""Lowering: from other tools to the integer graph."""
