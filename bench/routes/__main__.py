"""Run the bench of routes: `python -m bench.routes --help`. Exits with 1 if a request failed or a target is missed."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.certificate import Certificate
from tests.e2e.stage import Stage

from ..__main__ import ROOT, chosen, progress
from ..load.run import Run
from ..origin import Origin, find_nginx
from .edge import SUFFIX, RoutedEdge, document, route
from .measures import applying, cost_of, effect
from .table import Table, publish

MEASURES = dict.fromkeys(("effect", "applying", "cost"))
PAGE = ROOT / "docs" / "routes.md"
FEW, SOME, MANY = 10, 10_000, 100_000
MAX_RATIO = 1.05
MAX_EFFECT = 0.1
RATE = 500.0


class Bench:
    """The figures, and what went wrong."""

    def __init__(self, *, quick: bool) -> None:
        self.table = Table()
        self.faults: list[str] = []
        self.seconds = 2.0 if quick else 5.0
        self.rounds = 2 if quick else 7
        self.samples = 5 if quick else 50

    def load(self, edge: RoutedEdge) -> None:
        """How long they took to apply, and what they take up."""
        sizes = ", ".join(f"{size / 1e6:.0f} MB {name}" for name, size in edge.memory.items())
        self.table.add(f"{edge.count:,} routes applied at once", f"{edge.load_time:.2f} s", sizes)

    def effect(self, edge: RoutedEdge) -> None:
        """From a change to its first effect on a client."""
        progress(f"effect among {edge.count} routes")
        taken = [effect(edge) for _ in range(self.samples)]
        effects = sorted(seen for _, seen in taken)
        lags = sorted(max(0.0, seen - acknowledged) for acknowledged, seen in taken)
        self.table.add(
            f"POST to effect among {edge.count:,}",
            f"{statistics.median(effects) * 1e3:.0f} ms",
            f"at most {effects[-1] * 1e3:.0f} ms of {len(taken)}; at most {lags[-1] * 1e3:.0f} ms after the answer",
        )
        self.expect(
            effects[-1] <= MAX_EFFECT, f"a change among {edge.count} routes takes {effects[-1]:.3f} s"
        )

    def cost(self, few: RoutedEdge, many: RoutedEdge) -> None:
        """CPU a request, of few hosts by few routes, of many hosts by few, and of many by one each; in turns."""
        cases = {
            f"{FEW:,} hosts, {FEW:,} routes": (few, FEW),
            f"{MANY:,} hosts, {FEW:,} routes": (few, MANY),
            f"{MANY:,} hosts, {MANY:,} routes": (many, MANY),
        }
        costs: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(self.rounds + 1):
            progress(f"cost: round {number}" + ("" if number else " (warm-up)"))
            names = list(cases)
            for name in (*names[number % 3 :], *names[: number % 3]):
                edge, hosts = cases[name]
                cost, run = cost_of(edge, hosts, seconds=self.seconds)
                self.check(run, name)
                if number:
                    costs[name].append(cost)
        for name, taken in costs.items():
            self.table.add(f"CPU a request, {name}", f"{statistics.median(taken):.1f} µs", "data plane")
        few_few, few_many, many_many = costs.values()
        for what, before in (("hosts and routes", few_few), ("routes alone", few_many)):
            ratios = [one / other for one, other in zip(many_many, before, strict=True)]
            ratio = statistics.median(ratios)
            spread = f"rounds from {min(ratios):.3f} to {max(ratios):.3f}"
            self.table.add(f"ratio with more {what}", f"{ratio:.3f}", spread)
            if what == "routes alone":
                self.expect(ratio <= MAX_RATIO, f"a request costs {ratio:.3f} with more {what}")

    def applying(self, edge: RoutedEdge) -> None:
        """Latency at a fixed rate: at rest, and while routes are applied all the time."""
        without = document(FEW)
        more = document(FEW, *(route(f"import-{one}", f"import-{one}{SUFFIX}") for one in range(SOME)))

        def at_once() -> None:
            edge.apply(more)
            edge.apply(without)

        def one_by_one() -> None:
            edge.add(route("import", f"import{SUFFIX}"))
            edge.remove(["import"])

        for what, change in (
            ("at rest", None),
            (f"{SOME:,} routes with PUT /v1/config, and away", at_once),
            ("one route after the other, and away", one_by_one),
        ):
            progress(f"latency, {what}")
            run, count = applying(edge, change, rate=RATE, seconds=self.seconds * 4)
            self.check(run, what)
            times = f", {count} times" if change else ""
            self.table.add(
                f"p99 at {RATE:.0f}/s, {what}", f"{run.p99:.1f} ms", f"p50 {run.p50:.1f} ms{times}"
            )

    def check(self, run: Run, what: str) -> None:
        """Keep what went wrong in a run."""
        self.faults += [f"{what}: {fault}" for fault in run.faults]

    def expect(self, holds: bool, otherwise: str) -> None:
        """Keep a target that is missed."""
        if not holds:
            self.faults.append(otherwise)


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.routes", description="What many routes cost.")
    parser.add_argument("--quick", action="store_true", help="short loads: shows that it works")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument(
        "--only", type=chosen(MEASURES), default=list(MEASURES), help=f"of {','.join(MEASURES)}"
    )
    arguments = parser.parse_args()
    bench = Bench(quick=arguments.quick)
    if find_nginx() is None:
        raise SystemExit("the bench needs nginx as the application: on Debian, apt-get install nginx-light")
    with ExitStack() as stack:
        # On the disk: what the API acknowledges is kept there.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backplane-bench-")))
        stage = stack.enter_context(Stage.at(folder))
        origin = Origin(stage, Certificate.make(folder))
        edges = []
        for count in (FEW, SOME, MANY):
            progress(f"an edge with {count} routes")
            edges.append(RoutedEdge(stage, origin, count))
            bench.load(edges[-1])
        few, some, many = edges
        if "effect" in arguments.only:
            bench.effect(some)
            bench.effect(many)
        if "applying" in arguments.only:
            bench.applying(few)
        if "cost" in arguments.only:
            bench.cost(few, many)
    print(bench.table.text())
    for fault in bench.faults:
        print(f"FAULT: {fault}")
    if arguments.write:
        publish(bench.table, PAGE)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
