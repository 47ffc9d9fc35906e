"""All simulated experiments: ``python -m tests.impact.simulate [--runs 4000] [--seed 1]``. Minutes; one JSON line last.

The short version of it is tests/impact/test_simulated.py.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from tests.impact.experiments import Money, Rates, money, power, power_of_money, rates, several, split_alarms

RATES = [
    Rates(share, control, treated)
    for share in (0.5, 0.1, 0.05, 0.02)
    for control, treated in (
        (0.3, 0.3), (0.3, 0.27), (0.05, 0.05), (0.05, 0.04), (0.005, 0.005), (0.005, 0.003), (0.001, 0.001),
        (0.95, 0.95),
    )
]  # fmt: skip
STRICT = [Rates(share, rate, rate, 0.005) for share in (0.5, 0.1) for rate in (0.1, 0.005)]
MONEY = [
    Money(share, pays, sigma, lift)
    for share in (0.5, 0.1)
    for pays, sigma in ((0.3, 1.0), (0.03, 1.0), (0.03, 1.5), (0.005, 1.0))
    for lift in (1.0, 0.8)
]
POWER = [
    Rates(0.5, 0.1, 0.08), Rates(0.1, 0.1, 0.08), Rates(0.5, 0.3, 0.27), Rates(0.1, 0.3, 0.25),
    Rates(0.5, 0.005, 0.003), Rates(0.1, 0.02, 0.012), Rates(0.5, 0.05, 0.06),
]  # fmt: skip
POWER_OF_MONEY = [Money(0.5, 0.1, 1.0, 0.8), Money(0.2, 0.3, 0.5, 0.9)]
SPLITS = [((0.5, 0.5), (0.5, 0.5)), ((0.1, 0.9), (0.1, 0.9)), ((0.2, 0.3, 0.5), (0.2, 0.3, 0.5))]
BROKEN = [((0.5, 0.5), (0.48, 0.52)), ((0.1, 0.9), (0.12, 0.88))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, runs, started = np.random.default_rng(options.seed), options.runs, time.monotonic()
    print(f"{runs} experiments each, looked at after every 100 visitors, up to 20,000")
    covered, alarms, naive = [], [], []
    for one in [*RATES, *MONEY]:
        seen = rates(rng, runs, one) if isinstance(one, Rates) else money(rng, runs, one)
        covered.append(seen.covered)
        null = one.control == one.treated if isinstance(one, Rates) else one.lift == 1
        if null:
            alarms.append(seen.claims)
            naive.append(seen.naive)
        claims = "false alarms" if null else "claims"
        print(f"{one.name:52} coverage {seen.covered:7.2%}  {claims:12} {seen.claims:7.2%}  naive {seen.naive:7.2%}")
    strict = [rates(rng, runs, one).covered for one in STRICT]
    print(f"an error of 0.5 %: coverage {', '.join(f'{share:.2%}' for share in strict)}")
    programmes = {rules: several(rng, runs // 4, rules) for rules in (5, 20)}
    print(f"programmes of useless rules with any claim: {programmes}")
    errors = []
    for scenario in [*POWER, *POWER_OF_MONEY]:
        measure = power if isinstance(scenario, Rates) else power_of_money
        predicted, came, needed = measure(rng, min(runs, 2_000), scenario)
        errors.append(came - predicted)
        print(f"{scenario.name:52} {needed:9,} visitors  power predicted {predicted:.1%}, came {came:.1%}")
    false_splits = [split_alarms(rng, runs * 5, declared, true) for declared, true in SPLITS]
    found_splits = [split_alarms(rng, runs, declared, true) for declared, true in BROKEN]
    print(f"split alarms: false {false_splits}, of broken splits {found_splits}")
    print(json.dumps({
        "runs": runs, "seed": options.seed, "scenarios": len(covered), "coverage_min": min(covered),
        "false_alarms_max": max(alarms), "naive_false_alarms_max": max(naive),
        "coverage_min_of_99_5": min(strict), "programme_alarms_max": max(programmes.values()),
        "power_error_max": max(abs(error) for error in errors), "split_false_alarms_max": max(false_splits),
        "split_found_min": min(found_splits), "seconds": round(time.monotonic() - started),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
