"""ONNX tensors as numpy arrays: every size checked before anything is allocated.

What a tensor declares is compared with the bytes that are really there, so that a small file
cannot ask for much memory. Data in files of their own is read from the model's folder alone.
"""

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from bitwright.models.errors import StorageError, UnsupportedError

Array = npt.NDArray[Any]

MAX_ELEMENTS = 1 << 28
"""Of one tensor. The largest weights of networks for FPGAs are a hundred times smaller."""

MAX_BYTES = 1 << 32
"""Of all tensors of a model together, after decoding."""

MAX_PLACES = 1 << 22
"""Elements of one activation: an image of 256 x 256 with 64 channels."""

MAX_FOLDED = 1 << 27
"""Elements of all constants together that are computed in advance."""

MAX_AXES = 8

_BYTES: dict[int, str] = {
    TensorProto.FLOAT: "<f4",
    TensorProto.DOUBLE: "<f8",
    TensorProto.FLOAT16: "<f2",
    TensorProto.INT8: "<i1",
    TensorProto.INT16: "<i2",
    TensorProto.INT32: "<i4",
    TensorProto.INT64: "<i8",
    TensorProto.UINT8: "<u1",
    TensorProto.UINT16: "<u2",
    TensorProto.UINT32: "<u4",
    TensorProto.UINT64: "<u8",
    TensorProto.BOOL: "?",
}
_NIBBLES: dict[int, bool] = {TensorProto.INT4: True, TensorProto.UINT4: False}
# two elements a byte; signed or not
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}  # every other type's elements are in int32_data


class Store:
    """The tensors of one model, decoded when asked for. folder: where its external data may be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MAX_BYTES

    def check(self, tensor: TensorProto) -> None:
        """Refuse a tensor whose declared size is not what is stored, or too large.

        Raises UnsupportedError for types and sizes, StorageError for data that is not there.
        """
        shape, name = tuple(tensor.dims), _title(tensor)
        check_shape(shape, name)
        if tensor.data_type not in _BYTES and tensor.data_type not in _NIBBLES:
            raise UnsupportedError(
                f"{name} has elements of type {_type(tensor)}: store it as float32 or integers"
            )
        elements, needed = math.prod(shape), _stored_bytes(tensor)
        if tensor.data_location == TensorProto.EXTERNAL:
            self._external(tensor)
        elif tensor.HasField("raw_data"):
            if len(tensor.raw_data) != needed:
                raise StorageError(
                    f"{name} of shape {shape} needs {needed} bytes, but {len(tensor.raw_data)} are "
                    "stored: export the model again"
                )
        else:
            found = len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))
            packed = -(-elements // 2) if tensor.data_type in _NIBBLES else elements
            if found != packed:
                raise StorageError(
                    f"{name} of shape {shape} needs {packed} elements, but {found} are stored: "
                    "export the model again"
                )

    def decode(self, tensor: TensorProto) -> Array:
        """The elements of a tensor. Raises as `check`, and where all together are too many."""
        self.check(tensor)
        shape, code = tuple(tensor.dims), tensor.data_type
        self._left -= max(math.prod(shape) * 8, 1)
        if self._left < 0:
            raise UnsupportedError(
                f"the tensors of the model take more than {MAX_BYTES >> 30} GiB: bitwright is for "
                "networks that fit an FPGA"
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            path, offset, length = self._external(tensor)
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    raw = file.read(length)
            except OSError as error:
                raise StorageError(f"{path} cannot be read: {error.strerror}") from None
        elif tensor.HasField("raw_data"):
            raw = tensor.raw_data
        else:
            return _from_field(tensor).reshape(shape)
        if code in _NIBBLES:
            return _unpacked(np.frombuffer(raw, np.uint8), code, math.prod(shape)).reshape(shape)
        try:
            return np.frombuffer(raw, _BYTES[code]).reshape(shape).copy()
        except ValueError:
            raise StorageError(f"{_title(tensor)} changed while it was read") from None

    def _external(self, tensor: TensorProto) -> tuple[Path, int, int]:
        """The file, offset and length of a tensor's data, all of which exist."""
        name, needed = _title(tensor), _stored_bytes(tensor)
        entries: Mapping[str, str] = {text(e.key): text(e.value) for e in tensor.external_data}
        location = entries.get("location", "")
        parts = PurePosixPath(location).parts
        if (
            not parts
            or "\0" in location
            or "\\" in location
            or ".." in parts
            or PurePosixPath(location).is_absolute()
            or PureWindowsPath(location).drive
        ):
            raise StorageError(
                f"{name} is kept in {location!r}: external data must be in the model's own folder"
            )
        folder = self._folder.resolve()
        path = folder.joinpath(*parts)
        try:
            # A link anywhere on the way resolves to another path than the one that was spelled.
            if path.resolve() != path or not path.is_file():
                raise StorageError(
                    f"{name} is kept in {location!r}, which is no plain file in the model's own "
                    "folder: links are not followed"
                )
            size = path.stat().st_size
        except (OSError, RuntimeError) as error:
            raise StorageError(f"{name} is kept in {location!r}: {error}") from None
        offset, length = _number(entries, "offset", 0, name), _number(entries, "length", size, name)
        if "length" not in entries:
            length = max(size - offset, 0)
        if length != needed or offset + length > size:
            raise StorageError(
                f"{name} of shape {tuple(tensor.dims)} needs {needed} bytes, but {length} from "
                f"{offset} on are given of the {size} in {location!r}: export the model again"
            )
        return path, offset, length


def text(stored: str | bytes) -> str:
    """A text of the file: protobuf gives bytes where it is not UTF-8."""
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else stored


def check_shape(shape: tuple[int, ...], name: str, most: int = MAX_ELEMENTS) -> None:
    """Refuse a shape with negative or too many axes or elements. Raises UnsupportedError."""
    if len(shape) > MAX_AXES or any(n < 0 for n in shape) or _product(shape) > most:
        raise UnsupportedError(
            f"{name} has shape {_short(shape)}: at most {MAX_AXES} axes and {most:,} elements can "
            "be lowered"
        )


def _product(shape: tuple[int, ...]) -> int:
    return math.prod(max(n, 1) for n in shape)  # an empty axis hides no huge one


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= MAX_AXES else f"of {len(shape)} axes"


def _stored_bytes(tensor: TensorProto) -> int:
    elements: int = math.prod(tensor.dims)
    if tensor.data_type in _NIBBLES:
        return -(-elements // 2)
    size: int = np.dtype(_BYTES[tensor.data_type]).itemsize
    return elements * size


def _from_field(tensor: TensorProto) -> Array:
    """What is stored element by element. float16 is stored as the bits of its numbers."""
    code = tensor.data_type
    field = getattr(tensor, _FIELDS.get(code, "int32_data"))
    if code in _NIBBLES:
        packed = np.array(field, dtype=np.int64).astype(np.uint8)
        return _unpacked(packed, code, math.prod(tensor.dims))
    if code == TensorProto.FLOAT16:
        return np.array(field, dtype=np.int64).astype(np.uint16).view(np.float16)
    made = np.array(field, dtype=np.uint64 if code in _UNSIGNED else None)
    return made.astype(_BYTES[code])


_UNSIGNED = (TensorProto.UINT32, TensorProto.UINT64)


def _unpacked(packed: Array, code: int, elements: int) -> Array:
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).ravel()[:elements].astype(np.int8)
    if not _NIBBLES[code]:
        return nibbles.astype(np.uint8)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8)


def _number(entries: Mapping[str, str], key: str, default: int, name: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise StorageError(f"{name} has {key} {text[:40]!r} in its external data: give a number")
    return int(text)


def _title(tensor: TensorProto) -> str:
    return f"the tensor {text(tensor.name)[:80]!r}"


def _type(tensor: TensorProto) -> str:
    known = TensorProto.DataType.values()
    return (
        TensorProto.DataType.Name(tensor.data_type)
        if tensor.data_type in known
        else str(tensor.data_type)
    )
