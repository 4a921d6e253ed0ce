"""``make bench``: all measurements in one run, some twenty minutes; a table at the end.

Name some to run only those: ``python -m bench chat call idle lists speech v1 realtime``.
"""

import sys

from bench import idle_sockets, realtime, role_list, syntheses, v1_speech
from bench.measure import table
from bench.systems import embedded, floor, providers, scaled
from bench.turns import CALL, CHAT, Measured, measure

PARTS = ("chat", "call", "idle", "lists", "speech", "v1", "realtime")


def turns(chosen: list[str]) -> list[Measured]:
    found: list[Measured] = []
    with providers() as provider:
        for system in (floor, embedded, scaled):
            with system(provider) as running:
                for name, path, count in (("chat", CHAT, 50), ("call", CALL, 20)):
                    if name not in chosen:
                        continue
                    for visitors in (1, count):
                        say(f"{name}: {running.name}, {visitors} at once")
                        each = measure(running, provider, path, count=visitors, turns=4)
                        say(f"    added {each.added.p50:.0f} ms p50, {each.added.p95:.0f} p95")
                        found.append(each)
    return found


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main(chosen: list[str]) -> None:
    if "chat" in chosen or "call" in chosen:
        found = turns(chosen)
        floors = {(m.what, m.load): m.added for m in found if m.system == "floor"}
        rows = []
        for each in found:
            reference = floors[each.what, each.load]
            ratio = each.added.p50 / reference.p50 if reference.p50 > 0 else float("nan")
            cores = " ".join(f"{name} {used:.2f}" for name, used in each.cores.items())
            rows.append(
                [
                    *(each.what, each.system, each.load),
                    *(f"{each.added.p50:.0f} ms", f"{each.added.p95:.0f} ms", f"{ratio:.1f}"),
                    cores,
                ]
            )
        head = ["socket", "system", "turns", "added p50", "p95", "p50 / floor", "cores used"]
        print(table(head, rows), flush=True)
    if "idle" in chosen:
        with providers() as provider, embedded(provider) as running:
            say("idle sockets: a minute")
            idle = idle_sockets.measure(running)
        print(
            f"\nidle sockets: {idle.alive} of {idle.opened} alive after {idle.seconds:.0f} s, "
            f"{idle.bytes_each / 1024:.1f} KB each"
        )
    if "lists" in chosen:
        say("role list")
        lists = role_list.measure()
        print(
            f"\nrole list: {lists.ours:.0f} requests/s, untuned viewset under daphne "
            f"{lists.untuned:.0f}: {lists.ratio:.1f} times"
        )
    if "speech" in chosen:
        say("syntheses")
        rounds, leak = syntheses.measure()
        rows = [
            [
                each.client,
                *(f"{each.start.p50:.0f} ms", f"{each.added.p50:.0f} ms", f"{each.added.p95:.0f}"),
                *(f"{each.threads:+d}", f"{each.kib_each:.0f} KiB", f"{each.cpu_each:.0f} ms"),
                str(each.failed),
            ]
            for each in rounds
        ]
        head = ["100 syntheses", "start p50", "first audio added p50", "p95"]
        print("\n" + table([*head, "threads", "memory each", "CPU each", "failed"], rows))
        print(
            f"\na second {syntheses.MANY} of ours: {leak.kib_each:+.1f} KiB each, "
            f"{leak.tasks:+d} tasks, {leak.sockets:+d} sockets"
        )
    if "v1" in chosen:
        say("/v1/audio/speech")
        print(f"\n{v1_speech.measure()}")
    if "realtime" in chosen:
        print(f"\n{realtime.measure()}")


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    main(wanted)
