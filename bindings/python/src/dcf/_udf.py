"""User-defined functions: Python's by a decorator, and those that native code brings."""

from __future__ import annotations

import itertools
import sys

from . import _dcf

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Mapping
    from typing import Any, overload

# The numbers of dcf.h.
_UPDATES = 1
_COMMUTATIVE = 2
_SHORT = 4
_CALLER_THREAD = 8

# What the C half makes of a definition.
_PYTHON = 0
_NATIVE = 1
_NAMED = 2

_serials = itertools.count(1)


class Function(_dcf.Function):
    """What Worker.call accepts: a function under a name.

    It is registered with each worker by itself, when it is first called there;
    ``worker.register`` does it beforehand, so that other workers' calls find it.
    """

    def __init__(self, name: str, definition: Mapping[str, Any]) -> None:
        self._name = name
        self._definition = dict(definition)

    @property
    def name(self) -> str:
        """The name under which workers know it."""
        return self._name

    def _define(self) -> dict[str, Any]:
        """Gives the definition to the C half, when it is first needed."""
        return {**self._definition, "name": self._name}

    def __repr__(self) -> str:
        return f"<dcf {type(self).__name__} {self._name!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a UDF cannot be pickled: register it under a name and version in the other process"
        )


class UDF(Function):
    """A Python function that runs on vertices; :func:`dcf.udf` makes it."""

    def __init__(
        self, function: Callable[..., Any], options: Mapping[str, Any], names: dict[str, Any]
    ) -> None:
        if not callable(function):
            raise TypeError(f"@dcf.udf decorates a function, not {function!r}")
        super().__init__(_name_of(function, options), options)
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self._names = names
        self._functions = {"calculate": function}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the plain function, as in a unit test."""
        return self.__wrapped__(*args, **kwargs)

    def _add(self, role: str, function: Callable[..., Any]) -> None:
        if self._defined:
            raise RuntimeError(f"{self._name}: {role} comes before the first call or register")
        if role in self._functions:
            raise RuntimeError(f"{self._name} has a {role} already")
        if not callable(function):
            raise TypeError(f"{role} of {self._name} is a function, not {function!r}")
        self._names.update(names_in(function, sys._getframe(2)))
        self._functions[role] = function

    def merge(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Sets the function that folds a list of parts into one; usable as a decorator.

        Grouping is unspecified: ``merge([merge([a, b]), c])`` must equal ``merge([a, b, c])``.

        >>> @dcf.udf
        ... def longest(batch: dcf.Batch) -> int:
        ...     return max(len(word) for word in batch["word"])
        >>> _ = longest.merge(max)
        >>> with dcf.open() as worker:
        ...     words = worker.put("words", {"word": ["a", "bcd", "ef"]}, shards=3)
        ...     worker.call(longest, words)
        3
        """
        self._add("merge", function)
        return function

    def finish(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Sets the function that makes the result of the last part, once, at the caller.

        >>> @dcf.udf
        ... def mean(batch: dcf.Batch) -> dict:
        ...     return {"sum": [sum(batch["x"])], "count": [len(batch)]}
        >>> @mean.merge
        ... def _(parts):
        ...     rows = [part.to_pylist()[0] for part in parts]
        ...     return {key: [sum(row[key] for row in rows)] for key in ("sum", "count")}
        >>> @mean.finish
        ... def _(part):
        ...     return part["sum"][0] / part["count"][0]
        >>> with dcf.open() as worker:
        ...     worker.call(mean, worker.put("numbers", {"x": [1.0, 2.0, 6.0]}, shards=2))
        3.0
        """
        self._add("finish", function)
        return function

    def _define(self) -> dict[str, Any]:
        from ._views import signature_of  # who calls builtins only needs no typing and inspect

        definition: dict[str, Any] = super()._define()
        for role, function in self._functions.items():
            definition[role] = tuple(signature_of(function, role, self._names))
        self._names.clear()
        return definition


def names_in(function: Any, frame: types.FrameType) -> dict[str, Any]:
    """Of the local names around a decorated function, those that its textual annotations may mean.

    A frame that was asked for its locals keeps them alive, so it is asked only where it must be.
    """
    texts = [a for a in getattr(function, "__annotations__", {}).values() if isinstance(a, str)]
    if not texts:
        return {}
    return {k: v for k, v in frame.f_locals.items() if any(k in text for text in texts)}


def _name_of(function: Any, options: Mapping[str, Any]) -> str:
    if options["name"]:
        return str(options["name"])
    module = getattr(function, "__module__", None) or "__main__"
    name = f"{module}.{getattr(function, '__qualname__', type(function).__name__)}"
    # A private function is this object alone: defining it again makes another one.
    return name if options["version"] else f"{name}#{next(_serials)}"


def _options(
    name: str | None,
    version: str | None,
    auxiliary: bytes,
    *,
    updates: bool,
    commutative: bool,
    short: bool,
    caller_thread: bool,
) -> dict[str, Any]:
    flags = (
        (_UPDATES if updates else 0)
        | (_COMMUTATIVE if commutative else 0)
        | (_SHORT if short else 0)
        | (_CALLER_THREAD if caller_thread else 0)
    )
    return {"name": name, "version": version, "auxiliary": auxiliary, "flags": flags}


class _Decorator:
    """Makes a UDF of a Python function, or by ``from_address`` of machine code.

    The first parameter is the value of the vertex, None where it has none. Its annotation picks
    the form: ``pyarrow.RecordBatch``, ``pyarrow.Table``, ``polars.DataFrame``,
    ``pandas.DataFrame``, ``dict[str, numpy.ndarray]``, ``numpy.ndarray``, ``dcf.Batch`` (also
    without annotation), or ``int``, ``float``, ``bool`` or ``str`` for a single value. It is
    made once for each version of a vertex, so do not change it. A second parameter gets a
    :class:`dcf.Context`.

    The function gives its part: a number or text, bytes, a table or dict of columns, or None
    for no part. Parts are folded by ``merge`` and completed by ``finish``; see there.

    ``name`` and ``version``: where both are given, equal ones on two workers promise that the
    functions are the same, and the function runs wherever the data is. Without a version it is
    private to this process. ``auxiliary`` bytes are part of that identity. ``updates``: the
    function may have effects on its vertex. ``commutative``: parts may be folded in any order.
    ``short``: it never blocks and takes microseconds, so that event loops may run it.
    ``caller_thread``: it runs only on the thread that called.

    >>> @dcf.udf
    ... def total(batch: dcf.Batch) -> float:
    ...     return sum(batch["price"])
    >>> with dcf.open() as worker:
    ...     worker.call(total, worker.put("prices", {"price": [1.5, 2.5]}))
    4.0
    """

    if TYPE_CHECKING:

        @overload
        def __call__(self, function: Callable[..., Any], /) -> UDF: ...

        @overload
        def __call__(
            self,
            /,
            *,
            name: str | None = None,
            version: str | None = None,
            auxiliary: bytes = b"",
            updates: bool = False,
            commutative: bool = False,
            short: bool = False,
            caller_thread: bool = False,
        ) -> Callable[[Callable[..., Any]], UDF]: ...

    def __call__(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        version: str | None = None,
        auxiliary: bytes = b"",
        updates: bool = False,
        commutative: bool = False,
        short: bool = False,
        caller_thread: bool = False,
    ) -> UDF | Callable[[Callable[..., Any]], UDF]:
        """Makes the UDF, or where there are options, a decorator that does."""
        options = _options(
            name,
            version,
            auxiliary,
            updates=updates,
            commutative=commutative,
            short=short,
            caller_thread=caller_thread,
        )
        if function is not None:
            return UDF(function, options, names_in(function, sys._getframe(1)))
        return lambda decorated: UDF(decorated, options, names_in(decorated, sys._getframe(1)))

    def from_address(
        self,
        name: str,
        calculate: Any,
        merge: Any = None,
        finish: Any = None,
        *,
        user_data: Any = 0,
        version: str | None = None,
        auxiliary: bytes = b"",
        updates: bool = False,
        commutative: bool = False,
        short: bool = False,
        caller_thread: bool = False,
    ) -> NativeUDF:
        """Makes a UDF of machine code with the signatures of dcf.h.

        ``calculate``, ``merge`` and ``finish`` are a ``numba.cfunc`` (:mod:`dcf.numba` has the
        types), a function of ctypes or cffi, or an address. They are called without Python's lock,
        but for short ones on the thread that called. ``user_data`` is what they get as their first
        argument: an address, or an object of ctypes, whose address it is. All of them are kept
        until every worker that knows the function is closed; what is behind a bare address is for
        the caller to keep.

        >>> import ctypes
        >>> @ctypes.CFUNCTYPE(ctypes.c_int32, *3 * [ctypes.c_void_p])
        ... def nothing(user_data, input, output):
        ...     return 0  # DCF_OK, and no part
        >>> with dcf.open() as worker:
        ...     worker.call(dcf.udf.from_address("nothing", nothing), worker.put("v", 1))
        """
        definition = _options(
            name,
            version,
            auxiliary,
            updates=updates,
            commutative=commutative,
            short=short,
            caller_thread=caller_thread,
        )
        definition["kind"] = _NATIVE
        definition["user_data"] = _data_address(user_data)
        for role, function in (("calculate", calculate), ("merge", merge), ("finish", finish)):
            if function is not None:
                definition[role] = code_address(function, role)
        return NativeUDF(name, definition, (calculate, merge, finish, user_data))


udf = _Decorator()


# ---- Machine code --------------------------------------------------------------------


class NativeUDF(Function):
    """A function in machine code of this process; ``dcf.udf.from_address`` makes it."""

    def __init__(self, name: str, definition: Mapping[str, Any], kept: tuple[Any, ...]) -> None:
        super().__init__(name, definition)
        self._kept = kept  # workers keep this object, and it keeps the code


def code_address(function: Any, what: str) -> int:
    """Gives the address of a function that native code can call; `what` names it in the error."""
    address: int | None = None
    if isinstance(function, int) and not isinstance(function, bool):
        address = function
    elif isinstance(getattr(function, "address", None), int):  # numba's cfunc
        address = function.address
    elif (cffi := sys.modules.get("_cffi_backend")) and isinstance(function, cffi._CDataBase):
        address = int(cffi.cast(cffi.new_primitive_type("uintptr_t"), function))
    elif (ctypes := sys.modules.get("ctypes")) and isinstance(function, ctypes._CFuncPtr):
        address = ctypes.cast(function, ctypes.c_void_p).value
    if address is None:
        raise TypeError(
            f"{what} is an address, a numba.cfunc or a function of ctypes or cffi, not {function!r}"
        )
    if not 0 < address < 1 << 64:
        raise ValueError(f"{what} is at address {address:#x}, where there is no function")
    return address


def _data_address(data: Any) -> int:
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    import ctypes

    try:
        return ctypes.addressof(data)
    except TypeError:
        raise TypeError(f"user_data is an address or an object of ctypes, not {data!r}") from None


class NamedUDF(Function):
    """A function that the worker knows already, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {"kind": _NAMED})
