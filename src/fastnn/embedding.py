"""Call networks from C, and from tools that call C functions.

C and Cython programs are compiled with the folder that `get_include` returns; `fastnn.h` in it
documents each function. ctypes, cffi, Numba and SciPy's LowLevelCallable use the same functions by
`functions`, with a `Workspace`. Not here: the functions themselves (capi/).
"""

import ctypes
import functools
import types
import weakref
from pathlib import Path
from typing import Any, NoReturn, cast

from fastnn import _checks, _kernels_f32
from fastnn.mlp import MLP

__all__ = ["Workspace", "api_address", "functions", "get_include"]

#: The functions, for PyCapsule_Import("fastnn._C_API").
_C_API = _kernels_f32.c_api()

_STATUS, _POINTER, _ROWS = ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t
_TRAIN = (_STATUS, _POINTER, _ROWS, _POINTER, _POINTER, _POINTER)
_PREDICT = (_STATUS, _POINTER, _ROWS, _POINTER, _POINTER)

#: The members of fastnn_api in order: the type of the result, then the types of the arguments.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "message": (ctypes.c_char_p, _STATUS),
    "get": (ctypes.c_int64, _POINTER, ctypes.c_int),
    "workspace_new": (_STATUS, _POINTER, _ROWS, ctypes.c_int, ctypes.POINTER(_POINTER)),
    "workspace_free": (None, _POINTER),
    "predict_f32": _PREDICT,
    "predict_f64": _PREDICT,
    "train_f32": _TRAIN,
    "train_f64": _TRAIN,
    "train_labels_f32": _TRAIN,
    "train_labels_f64": _TRAIN,
    "evaluate": (ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double), _POINTER),
}


class _Api(ctypes.Structure):
    """The struct fastnn_api."""

    _fields_ = (
        ("abi_version", ctypes.c_uint32),
        ("struct_size", ctypes.c_uint32),
        *((name, ctypes.CFUNCTYPE(*types)) for name, types in _FUNCTIONS.items()),
    )


#: Not ctypes.pythonapi.PyCapsule_GetPointer, since any code in the process may change its types.
_GET_POINTER = ctypes.PYFUNCTYPE(_POINTER, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _pointer(capsule: object, name: bytes) -> int:
    """Return the address in a capsule."""
    return cast(int, _GET_POINTER(capsule, name))


def get_include() -> str:
    """Return the folder of `fastnn.h`, for a C compiler's ``-I``.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, fastnn
    >>> os.listdir(fastnn.get_include())
    ['fastnn.h']
    """
    return str(Path(__file__).parent / "capi" / "include")


def api_address() -> int:
    """Return the address of the struct fastnn_api, for `fastnn_use` in C without Python.h.

    Returns
    -------
    int
    """
    return _pointer(_C_API, b"fastnn._C_API")


@functools.cache
def functions() -> types.SimpleNamespace:
    """Return the functions of `fastnn.h` for ctypes: ``functions().predict_f32`` and so on.

    Pointers are passed as integers, such as ``array.ctypes.data``. ctypes releases the GIL during a
    call, so threads that each have a workspace predict at the same time. Other tools, such as cffi,
    use the address ``ctypes.cast(function, ctypes.c_void_p).value``.

    Returns
    -------
    namespace
        An object whose attributes are the functions in struct fastnn_api.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, embedding
    >>> net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    >>> workspace, out = embedding.Workspace(net), np.empty((1, 1), np.float32)
    >>> x = np.array([[1, 2]], np.float32)
    >>> embedding.functions().predict_f32(workspace.address, 1, x.ctypes.data, out.ctypes.data)
    0
    >>> bool((out == net.predict(x)).all())
    True
    """
    api = _Api.from_address(api_address())
    return types.SimpleNamespace(**{name: getattr(api, name) for name in _FUNCTIONS})


class Workspace:
    """The buffers that one thread needs to call a network from C; freed with this object.

    Parameters
    ----------
    net : MLP
        The network, which the workspace keeps alive.
    rows : int, default 1
        Number of rows of the largest batch; see `fastnn_workspace_new`.
    training : bool, default False
        Whether to allocate buffers for training steps, too.

    Attributes
    ----------
    address : int
        The address of the workspace, which is passed to functions of `fastnn.h`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    MemoryError
        If there is not enough memory for that many rows.

    Examples
    --------
    An integrand for SciPy, which calls the C function directly:

    >>> import ctypes, scipy
    >>> from fastnn import MLP, Dense, embedding
    >>> net = MLP(1, [Dense(8, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    >>> workspace = embedding.Workspace(net)
    >>> address = ctypes.c_void_p(workspace.address)
    >>> f = scipy.LowLevelCallable(embedding.functions().evaluate, address)
    >>> area, error = scipy.integrate.quad(f, 0, 1)
    """

    def __init__(self, net: MLP, rows: int = 1, training: bool = False) -> None:
        _checks.network("net", net, MLP)
        self._capsule = net.c_model
        rows = _checks.integer("rows", rows, low=1)
        training = _checks.flag("training", training)
        address = ctypes.c_void_p()
        status = functions().workspace_new(
            _pointer(self._capsule, b"fastnn.model"), rows, training, ctypes.byref(address)
        )
        if status:
            raise MemoryError(functions().message(status).decode())
        self.address: int = cast(int, address.value)
        # Not at exit: daemon threads may be in a call that uses the buffers.
        weakref.finalize(self, functions().workspace_free, self.address).atexit = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Workspace belongs to one thread of one process; make another one there")
