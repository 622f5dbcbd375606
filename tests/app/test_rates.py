from __future__ import annotations

from app.rates import WINDOW, Rates


def test_a_rate_is_the_mean_of_the_last_seconds() -> None:
    rates = Rates()
    assert rates.of() == 0.0
    for second in range(30):
        rates.add({"web": 100 * second, "api": second * second}, float(second))
    assert rates.of("web") == 100.0
    assert rates.of("api") == (29 * 29 - 19 * 19) / WINDOW
    assert rates.of() == rates.of("web") + rates.of("api")
    assert rates.of("nobody") == 0.0


def test_a_rate_of_totals_that_begin_anew_is_never_negative() -> None:
    rates = Rates()
    rates.add({"web": 100}, 0.0)
    rates.add({"web": 3}, 1.0)
    assert rates.of("web") == rates.of() == 0.0
    rates.clear()
    assert rates.of() == 0.0
