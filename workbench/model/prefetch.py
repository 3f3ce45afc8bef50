"""Ask a processor for memory that is looked at later, so that nobody waits for it then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from numba.core.base import BaseContext
    from numba.core.typing.context import Context
    from numba.core.typing.templates import Signature

_HOW: Final = (1, 3, 1)
"""To be written, kept in all caches, and data (LLVM Language Reference, "llvm.prefetch")."""


def _type_and_code(
    _: Context, rows: types.Array, row: types.Integer
) -> tuple[Signature, Callable[..., ir.Value]]:
    """Tell Numba the types of `prefetch`, and who writes the code of a call."""
    return types.void(rows, row), _write_code


def _write_code(
    context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: list[ir.Value]
) -> ir.Value:
    array_type, row_type = signature.args
    rows = context.make_array(array_type)(context, builder, arguments[0])
    row = context.cast(builder, arguments[1], row_type, types.intp)
    offset_bytes = builder.mul(row, builder.extract_value(rows.strides, 0))
    byte, number = ir.IntType(8), ir.IntType(32)
    first = builder.bitcast(rows.data, byte.as_pointer())
    type_ = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte.as_pointer()], type_)
    place = builder.gep(first, [offset_bytes])
    builder.call(function, [place, *map(number, _HOW)])
    return context.get_dummy_value()


def _do_nothing(rows: npt.NDArray[Any], row: int) -> None:
    """Stand in where kernels are not compiled."""


_numba_settings: Final[Any] = numba.config

prefetch_compiled: Final[Any] = intrinsic(_type_and_code)

prefetch: Final = cast(
    "Callable[[npt.NDArray[Any], int], None]",
    _do_nothing if _numba_settings.DISABLE_JIT else prefetch_compiled,
)
"""Fetch where a row of an array begins.  Only how long things take changes, so that the row need
not be one of the array.  To be called by kernels."""
