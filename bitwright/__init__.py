"""bitwright: from a Brevitas-trained mixed-precision network to proven RTL, and what it costs."""
