"""Where in a long row of sounds a short one occurs, with the fewest errors."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a part matches the most similar stretch of a whole.

    Attributes:
        edits: That make the part of the stretch: what was put in, left out or replaced.
        strange: For each of the part whether it has no counterpart in the stretch.
        ends: Behind which of the whole the stretch ends.
    """

    edits: int
    strange: list[bool]
    ends: int


def aligned(part: Sequence[str], whole: Sequence[str]) -> Alignment:
    """Find ``part`` in ``whole``; of several places that are as good the last one."""
    costs = [[0] * (len(whole) + 1)]  # a stretch may begin anywhere
    for row, sound in enumerate(part, start=1):
        above, line = costs[-1], [row]
        for column, other in enumerate(whole, start=1):
            replaced = above[column - 1] + (sound != other)
            line.append(min(replaced, above[column] + 1, line[-1] + 1))
        costs.append(line)
    edits = min(costs[-1])
    ends = max(column for column, cost in enumerate(costs[-1]) if cost == edits)
    return Alignment(edits, _strange(costs, part, whole, ends), ends)


def _strange(
    costs: list[list[int]], part: Sequence[str], whole: Sequence[str], column: int
) -> list[bool]:
    """Go back on the cheapest way: what was not met on it as it is, is strange."""
    strange = [True] * len(part)
    row = len(part)
    while row:
        cost = costs[row][column]
        same = column > 0 and part[row - 1] == whole[column - 1]
        if same and cost == costs[row - 1][column - 1]:
            strange[row - 1] = False
            row, column = row - 1, column - 1
        elif column and cost == costs[row - 1][column - 1] + 1:
            row, column = row - 1, column - 1
        elif cost == costs[row - 1][column] + 1:
            row -= 1
        else:
            column -= 1
    return strange
