"""Colours that can be told apart with any colour vision, light to dark on a light map."""

from collections.abc import Sequence

from workbench.errors import EvaluationError

SEA = "#e6edf2"
LAND = "#faf9f5"
BORDER = "#b9c0c7"
INK = "#1f2933"
MUTED = "#5f6b76"
ACCENT = "#31688e"
"""One colour for bars and points that need no scale; from viridis."""
CONTRAST = "#d1741f"
"""A second colour beside ACCENT: blue and orange differ for every kind of colour vision."""

OTHERS = "#8a94a0"
"""Names too many to have a colour each."""

SERIES_STEPS: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 10)
"""First number of dates of each class of series length."""
SERIES_COLOURS: tuple[str, ...] = (
    "#c3c9d0",  # one date: there, but no temporal view
    "#fdc98a",
    "#f98e54",
    "#e0464a",
    "#ab2a6e",
    "#6d1d7c",
    "#2b1250",
)

CLASS_COLOURS: tuple[str, ...] = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#660000"),
    *("#220088", "#99ffff", "#665555", "#4400dd", "#9966ff", "#aaccaa", "#442244", "#aa2200"),
    *("#ccffaa", "#66ddee", "#aa4488", "#444466"),
)
"""Colours of classes: Okabe and Ito's first, then those farthest from all before, as seen with
normal vision and with each of the three dichromacies."""


def class_colours(count: int) -> list[str]:
    """Give one colour a class; after 20 they repeat.

    Example:
        >>> class_colours(2)
        ['#e69f00', '#56b4e9']
    """
    return [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(count)]


def series_class(n_dates: int) -> int:
    """Give the class of a series length, an index into `SERIES_COLOURS`.

    Args:
        n_dates: Number of distinct dates, at least 1.

    Example:
        >>> [series_class(n) for n in (1, 2, 6, 9, 40)]
        [0, 1, 4, 5, 6]
    """
    return sum(n_dates >= step for step in SERIES_STEPS) - 1


def series_label(index: int) -> str:
    """Name a class of series length for a legend.

    Example:
        >>> [series_label(i) for i in (0, 1, 4, 6)]
        ['1 date', '2 dates', '5–6 dates', '10 or more dates']
    """
    first = SERIES_STEPS[index]
    if index == len(SERIES_STEPS) - 1:
        return f"{first} or more dates"
    last = SERIES_STEPS[index + 1] - 1
    if first == last:
        return f"{first} date{'s' if first > 1 else ''}"
    return f"{first}–{last} dates"


def ramp(fraction: float) -> str:
    """Colour of a value on a light-to-dark scale (viridis reversed, without its palest end).

    Args:
        fraction: Place on the scale, in [0, 1].

    Example:
        >>> ramp(0.0), ramp(1.0)
        ('#b0dd2f', '#440154')
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](0.88 * (1.0 - min(max(fraction, 0.0), 1.0))))


def ramp_stops(count: int = 9) -> Sequence[str]:
    """Give evenly spaced colours of `ramp`, for a gradient in a legend."""
    return [ramp(i / (count - 1)) for i in range(count)]


def around_zero(share: float) -> str:
    """Colour of a difference: purple below zero, orange above, darker the larger.

    Args:
        share: Part of the largest difference, in [-1, 1], not 0.

    Example:
        >>> around_zero(-1.0), around_zero(1.0)
        ('#3f1268', '#974907')
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    side = 0.05 + 0.35 * (1.0 - min(abs(share), 1.0))  # the palest end would vanish on the land
    return to_hex(colormaps["PuOr"](side if share > 0 else 1.0 - side))


def hex_colour(colour: object, name: str) -> str:
    """Write a colour as "#rrggbb".

    Args:
        colour: "#rrggbb", "#rgb", with or without an opacity (which is left out), or a name that
            CSS and matplotlib know ("forestgreen").
        name: Of what it colours, for messages.

    Raises:
        EvaluationError: If it is no colour.

    Example:
        >>> hex_colour("#0A8", "water"), hex_colour("#11223344", "wood"), hex_colour("red", "roof")
        ('#00aa88', '#112233', '#ff0000')
    """
    from matplotlib.colors import to_hex

    text = str(colour).strip()
    for written in (text, f"#{text}"):
        try:
            return to_hex(written.lower())
        except ValueError:
            continue
    raise EvaluationError(f'A colour is written "#rrggbb", but that of class {name!r} is {text!r}.')
