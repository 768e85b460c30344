"""`Unpack` for every version of Python, so that annotations can be evaluated without another package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["Unpack"]

if sys.version_info >= (3, 11):
    from typing import Unpack
elif TYPE_CHECKING:
    from typing_extensions import Unpack
else:

    class Unpack:
        """Stands for the keyword arguments that a TypedDict has."""

        def __class_getitem__(cls, options: Any) -> Any:
            """The options themselves."""
            return options
