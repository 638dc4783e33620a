"""Dates of the locations that the tests of pairs share."""

JUNE, JULY, JANUARY, NEXT_JUNE = "2022-06-05", "2022-07-10", "2022-01-03", "2023-06-11"
DATES = [
    [JUNE],
    [JUNE, JULY],
    [JANUARY, JUNE, JULY, NEXT_JUNE],
    [JULY],
    [JANUARY, NEXT_JUNE],
]
