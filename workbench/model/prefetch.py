"""Ask the processor for memory that is needed soon, so that a kernel does not wait for it then.

What a host's model reads is spread over all of its pages, and of those that reclaim looks at next
the numbers are known well ahead.  A plain read would have to be waited for, and is left out by the
compiler where nothing comes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_Numba: TypeAlias = Any
"""What Numba hands to those who extend it, which no type checker can follow."""

FOR_WRITING: Final = 1
IN_ALL_CACHES: Final = 3
OF_DATA: Final = 1
"""Arguments of LLVM's `llvm.prefetch` (LLVM Language Reference, Code Generator Intrinsics)."""


def prefetch(array: npt.NDArray[np.integer], index: int) -> None:
    """Ask for `array[index]`, and change nothing; any index is allowed."""


def _typed(_typing: _Numba, array: _Numba, _index: _Numba) -> _Numba:  # pragma: no cover - compiler
    return types.void(array, types.int64), _generate


def _generate(
    context: _Numba, builder: _Numba, signature: _Numba, arguments: _Numba
) -> _Numba:  # pragma: no cover - only the compiler asks
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
    number = ir.IntType(32)
    takes = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], takes)
    how = [number(each) for each in (FOR_WRITING, IN_ALL_CACHES, OF_DATA)]
    builder.call(function, [place, *how])
    return context.get_dummy_value()


_prefetch: _Numba = intrinsic(_typed)


# Left to LLVM to inline: where Numba does, what it makes of a caller that is inlined is wrong.
@overload(prefetch)
def _compiled(array: _Numba, index: _Numba) -> _Numba:  # noqa: ARG001 # pragma: no cover - compiler
    def ask(array: _Numba, index: _Numba) -> None:
        _prefetch(array, index)

    return ask
