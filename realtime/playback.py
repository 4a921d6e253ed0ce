"""What the client has heard of the audio that was sent, by our own clock."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Track:
    """The audio of one item: stretches of (when it begins to be heard, its seconds)."""

    stretches: list[tuple[float, float]] = field(default_factory=list)
    sent: float = 0.0

    def heard(self, now: float) -> float:
        return sum(min(max(now - begins, 0.0), seconds) for begins, seconds in self.stretches)


class PlaybackClock:
    """Follows a listener who plays what comes as soon as it can, one piece after the other.

    Audio that comes late is heard late: what was missed in between does not count as heard.
    All times are the session's seconds; what is asked by item is in ms.
    """

    def __init__(self) -> None:
        self._ends_at = float("-inf")
        self._tracks: dict[str, _Track] = {}

    def sent(self, item_id: str, seconds: float, now: float) -> None:
        """So much more audio of an item was sent."""
        track = self._tracks.setdefault(item_id, _Track())
        track.sent += seconds
        if now > self._ends_at or not track.stretches:
            begins = max(now, self._ends_at)
            track.stretches.append((begins, seconds))
        else:
            begins, before = track.stretches[-1]
            track.stretches[-1] = (begins, before + seconds)
        self._ends_at = max(now, self._ends_at) + seconds

    def lead(self, now: float) -> float:
        """Seconds of audio that were sent and are not heard yet."""
        return max(0.0, self._ends_at - now)

    def sent_ms(self, item_id: str) -> int:
        track = self._tracks.get(item_id)
        return int(track.sent * 1000 + 0.5) if track else 0

    def heard_ms(self, item_id: str, now: float) -> int:
        track = self._tracks.get(item_id)
        return int(track.heard(now) * 1000 + 0.5) if track else 0

    def unheard(self, now: float) -> list[str]:
        """The items of which something that was sent is not heard yet, in order."""
        if now >= self._ends_at:
            return []
        return [
            item_id
            for item_id, track in self._tracks.items()
            if track.stretches and sum(track.stretches[-1]) > now
        ]

    def stop(self, now: float) -> None:
        """The client has thrown away what it had not played."""
        for item_id in self.unheard(now):
            track = self._tracks[item_id]
            track.stretches = [
                (begins, min(now - begins, seconds))
                for begins, seconds in track.stretches
                if begins < now
            ]
        self._ends_at = min(self._ends_at, now)
