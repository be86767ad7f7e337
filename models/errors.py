"""The errors that bitwright raises for its users' input and tools, one type per kind of remedy.

Each message is one sentence or two: what is wrong (with the node and the actual value), then what
to do about it. The command line prints it and exits with code 2; anything else that escapes is a
bug of ours and keeps its traceback.
"""


class BitwrightError(Exception):
    """Base of every error that bitwright raises on purpose."""


class GraphError(BitwrightError):
    """An integer graph, or a plan for one, that breaks its own rules."""


class UnsupportedError(BitwrightError):
    """A layer, quantiser or option that bitwright does not know how to map."""


class InputError(BitwrightError):
    """Data or arguments of the wrong shape, type or range."""


class StorageError(BitwrightError):
    """A file or folder that cannot be read or written, or does not hold what it should."""


class ToolError(BitwrightError):
    """An external tool that is missing, crashed, timed out or printed something unexpected."""
