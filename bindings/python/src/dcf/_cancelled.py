"""The error of calls that were given up, which is one of concurrent.futures, too.

That is slow to import, and who imports dcf rarely needs it: ``dcf.errors`` has the class when it is
first asked for.
"""

from __future__ import annotations

import concurrent.futures

from .errors import Error


class CancelledError(Error, concurrent.futures.CancelledError):
    """The call was given up, or its worker was closed."""

    __module__ = "dcf.errors"

    status = "DCF_CANCELLED"
    hint = "nothing new was started; effects applied before stay"
