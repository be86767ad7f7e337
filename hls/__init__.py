"""The integer graph as an hls4ml project: written, simulated with g++, built by a vendor's tool.

    layer.py         one hls4ml layer, and how hls4ml spells the types of what is in it
    mapping.py       each operation as hls4ml layers
    products.py        ... those that multiply by weights
    images.py          ... those that look at images or join tensors
    extension.py     the layers that hls4ml does not have; their C++ is in nnet_*.h
    project.py       a folder that holds an hls4ml project
    simulation.py    that folder's C++ compiled and run, integers in and integers out
    many.py          several projects in one program
    vendor.py        that folder's C++ synthesised, where a vendor's tool is installed
    programs.py      running other people's programs

hls4ml is imported when the first project is written, not with this package.
"""

from bitwright.hls.mapping import IO_TYPES, IoType, usual_io
from bitwright.hls.project import BACKENDS, DEFAULT_PART, Backend, Project, load, write
from bitwright.hls.simulation import simulate, trace
from bitwright.hls.vendor import Report, build

__all__ = [
    "BACKENDS",
    "DEFAULT_PART",
    "IO_TYPES",
    "Backend",
    "IoType",
    "Project",
    "Report",
    "build",
    "load",
    "simulate",
    "trace",
    "usual_io",
    "write",
]
