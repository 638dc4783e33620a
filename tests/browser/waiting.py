"""Waiting for what a test is about to look at: a page on a busy machine is late, and never asleep.

No test counts on a pause being long enough. Scripts of our pages draw once a frame, so two frames
after an act everything that follows from it is laid out and painted; what takes longer (files,
kernels, fading tiles) is asked for again until it is so.
"""

from collections.abc import Callable
from typing import Any

PATIENCE_MS = 90_000
"""Longest wait for one thing; reached only by what never comes."""
_TWO_FRAMES = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
_HIGHER = "([element, least]) => element.isConnected && element.clientHeight > least"


def settled(page: Any) -> Any:
    """Wait until a page or frame has laid out and drawn what it was last asked for."""
    page.evaluate(_TWO_FRAMES)
    return page


def until(page: Any, holds: Callable[[], bool], told: str = "") -> None:
    """Ask again and again, while the page goes on, until something holds."""
    for _ in range(PATIENCE_MS // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"This did not come to hold in {PATIENCE_MS // 1000} s: {told or holds}")


def wait_for_height(locator: Any, least: float) -> None:
    """Wait until an element is in the page and higher than `least`, in CSS pixels."""
    locator.wait_for(state="visible")
    handle = locator.element_handle()
    locator.page.wait_for_function(_HIGHER, arg=[handle, least])
