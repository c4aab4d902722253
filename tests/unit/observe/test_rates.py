"""Rates for the plots: what totals grew by in a second, for as long as the plots are."""

import pytest
from prometheus_client.core import CounterMetricFamily

from mcproxy.observe.figures import Figures
from mcproxy.observe.rates import POINTS, Rates


def sampled(*samples):
    rates = Rates(("requests",))
    for now, total in samples:
        rates.sample({"requests": total}, now, 1_000_000.0 + now)
    return rates


def points(rates):
    return rates.document("requests")["series"]["requests"]


def test_the_first_sample_is_only_where_it_begins():
    rates = sampled((0.0, 500.0))
    assert points(rates) == []
    assert rates.last("requests") is None


def test_a_point_is_what_a_total_grew_by_in_a_second():
    rates = sampled((0.0, 500.0), (2.0, 520.0), (5.0, 526.0))
    assert points(rates) == [10.0, 2.0]
    assert rates.last("requests") == 2.0
    assert rates.document("requests") == {"interval": 2.0, "end": 1_000_005.0, "series": {"requests": [10.0, 2.0]}}


def test_a_total_that_falls_stands_still():
    assert points(sampled((0.0, 500.0), (2.0, 0.0), (4.0, 4.0))) == [0.0, 2.0]


def test_no_time_between_two_samples_is_no_point():
    assert points(sampled((0.0, 0.0), (0.0, 7.0), (2.0, 8.0))) == [4.0]


def test_after_a_gap_the_plot_begins_anew():
    assert points(sampled((0.0, 0.0), (2.0, 2.0), (60.0, 9.0), (62.0, 11.0))) == [1.0]


def test_only_the_last_minutes_are_kept():
    rates = sampled(*((2.0 * number, 2.0 * number * number) for number in range(POINTS + 50)))
    assert len(points(rates)) == POINTS
    assert points(rates)[-1] == pytest.approx(2 * (POINTS + 49) - 1)


def test_figures_are_summed_over_what_is_not_asked_for():
    family = CounterMetricFamily("logins", "", labels=("listener", "result"))
    for labels, value in ((("a", "success"), 1), (("a", "failure"), 2), (("b", "success"), 4)):
        family.add_metric(labels, value)
    figures = Figures([family])
    assert figures.total("logins_total") == 7
    assert figures.count("logins_total", result="success") == 5
    assert figures.count("logins_total", listener="a", result="failure") == 2
    assert figures.total("nothing_total") == 0
    assert figures.samples("nothing_total") == []
