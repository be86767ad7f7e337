"""The integer graph as an hls4ml project: written, simulated with g++, built by a vendor's tool.

    mapping.py       each operation as an hls4ml layer, with the type of everything in it
    extension.py     the layers that hls4ml does not have; their C++ is in nnet_*.h
    project.py       a folder that holds an hls4ml project
    simulation.py    that folder's C++ compiled and run, integers in and integers out
    vendor.py        that folder's C++ synthesised, where a vendor's tool is installed
    programs.py      running other people's programs

hls4ml is imported when the first project is written, not with this package.
"""

from bitwright.hls.project import BACKENDS, DEFAULT_PART, Backend, Project, load, write
from bitwright.hls.simulation import simulate, trace
from bitwright.hls.vendor import Report, build

__all__ = [
    "BACKENDS",
    "DEFAULT_PART",
    "Backend",
    "Project",
    "Report",
    "build",
    "load",
    "simulate",
    "trace",
    "write",
]
