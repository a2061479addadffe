"""The errors of dcf: one class for each status of libdcf, all below :class:`Error`."""

from __future__ import annotations

import builtins

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import ClassVar

    from ._cancelled import CancelledError

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "BadHandleError",
    "CancelledError",
    "CorruptError",
    "DeniedError",
    "Error",
    "ExhaustedError",
    "ForkedProcessError",
    "InternalError",
    "InterruptedError",
    "InvalidArgumentError",
    "NotFoundError",
    "TimeoutError",
    "UDFFailedError",
    "UnavailableError",
    "UnsupportedError",
]


class Error(Exception):
    """Something that dcf could not do.

    ``status`` is its name in the C interface, ``node`` the node where it happened (0: this
    worker), ``vertex`` the id of the vertex that it concerns or None, ``detail`` a traceback or
    the like where there is one, and ``hint`` what to do about this kind of error.

    >>> with dcf.open() as worker:
    ...     try:
    ...         worker.vertex("no such vertex")
    ...     except dcf.NotFoundError as error:
    ...         print(error.status)
    DCF_NOT_FOUND
    """

    status: ClassVar[str] = "DCF_INTERNAL"
    hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        node: int = 0,
        vertex: object = None,
        detail: str = "",
        os_error: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.vertex = vertex
        self.detail = detail
        self.os_error = os_error

    def __str__(self) -> str:
        text = self.message or self.hint or self.status
        if self.node:
            text += f" (on node {self.node})"
        # Where the exception itself is at hand, Python shows its traceback as the cause.
        if self.detail and self.__cause__ is None:
            text += "\n\nWhere it happened:\n" + self.detail
        return text

    def __reduce__(self) -> tuple[object, ...]:
        known = {
            "node": self.node,
            "vertex": self.vertex,
            "detail": self.detail,
            "os_error": self.os_error,
        }
        return (_rebuild, (type(self), self.message, known))


def _rebuild(cls: type[Error], message: str, known: dict[str, object]) -> Error:
    error = cls(message)
    error.__dict__.update(known)
    return error


class InternalError(Error):
    """A bug in dcf; the worker refuses further calls."""

    status = "DCF_INTERNAL"
    hint = "this is a bug in dcf: close the worker, and please report it with its message"


class InvalidArgumentError(Error, ValueError):
    """The request is wrong, whatever the state of the cluster."""

    status = "DCF_INVALID_ARGUMENT"
    hint = "correct the argument that the message names"


class BadHandleError(Error):
    """The worker or vertex was closed, released or dropped."""

    status = "DCF_BAD_HANDLE"
    hint = "open it again: worker.vertex(name or id), dcf.open()"


class NotFoundError(Error, LookupError):
    """It is known not to exist; this is never a guess."""

    status = "DCF_NOT_FOUND"
    hint = "worker.vertices() lists what there is"


class AlreadyExistsError(Error):
    """The name is taken."""

    status = "DCF_ALREADY_EXISTS"
    hint = "choose another name, or put with replace=True"


class UnavailableError(Error, ConnectionError):
    """The node that would know cannot be reached."""

    status = "DCF_UNAVAILABLE"
    hint = "worker.nodes() lists who is alive; try again when the node is back"


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001 - the name every library has
    """The deadline passed."""

    status = "DCF_TIMEOUT"
    hint = "give the call a longer timeout="


class ExhaustedError(Error):
    """A named limit was reached."""

    status = "DCF_EXHAUSTED"
    hint = "wait and try again, or raise the limit that the message names"


class UDFFailedError(Error):
    """The user's code failed; the worker is unharmed. ``detail`` has its traceback.

    >>> @dcf.udf(name="broken")
    ... def broken(batch):
    ...     return 1 / 0
    >>> with dcf.open() as worker:
    ...     try:
    ...         worker.call(broken, worker.put("some", 1))
    ...     except dcf.UDFFailedError as error:
    ...         print(error.message)
    function "broken": ZeroDivisionError: division by zero
    """

    status = "DCF_UDF_FAILED"
    hint = "error.detail has the traceback of the function, from wherever it ran"


class UnsupportedError(Error):
    """Not possible here."""

    status = "DCF_UNSUPPORTED"
    hint = "the message says what is possible instead"


class DeniedError(Error, PermissionError):
    """This peer may not do that."""

    status = "DCF_DENIED"
    hint = "ask whoever runs the node for the permission that the message names"


class AbortedError(Error):
    """A conflict: nothing was applied."""

    status = "DCF_ABORTED"
    hint = "read the vertex again and start over"


class CorruptError(Error):
    """Stored or received data fails its checks."""

    status = "DCF_CORRUPT"
    hint = "put the data again from its source"


class InterruptedError(Error, builtins.InterruptedError):  # noqa: A001
    """A signal handler ended the wait."""

    status = "DCF_INTERRUPTED"
    hint = "make the call again"


class ForkedProcessError(Error, RuntimeError):
    """This process was forked after dcf was imported, which its threads do not survive."""

    status = "DCF_UNSUPPORTED"
    hint = "use multiprocessing.get_context('spawn') or 'forkserver'"


_CANCELLED = 8
_BY_STATUS: dict[int, type[Error]] = {
    1: InternalError,
    2: InvalidArgumentError,
    3: BadHandleError,
    4: NotFoundError,
    5: AlreadyExistsError,
    6: UnavailableError,
    7: TimeoutError,
    9: ExhaustedError,
    10: UDFFailedError,
    11: UnsupportedError,
    12: DeniedError,
    13: AbortedError,
    14: CorruptError,
    15: InterruptedError,
}


def make_error(
    status: int, os_error: int, node: int, vertex: object, message: str, detail: str
) -> Error:
    """Makes the exception of a status. The C half calls it."""
    cls = _BY_STATUS.get(status, InternalError)
    if status == _CANCELLED:
        from ._cancelled import CancelledError

        cls = CancelledError
    return cls(message, node=node, vertex=vertex, detail=detail, os_error=os_error)


def format_exception(error: BaseException) -> str:
    """Gives a summary line and the whole traceback: what travels to the caller."""
    import traceback

    summary = traceback.format_exception_only(type(error), error)[-1].strip()
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return f"{' '.join(summary.splitlines())}\n{trace}"


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Makes CancelledError when it is first asked for: see _cancelled."""
        if name != "CancelledError":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ._cancelled import CancelledError

        globals()[name] = CancelledError
        return CancelledError
