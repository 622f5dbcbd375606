from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.balancing import Balancing
from edge.exchange import Exchange
from edge.problem import Refusal
from h2s.engine.session import Fields
from h2s.errors import ErrorCode

from .fakes import FakeDownstream, FakeStream, FakeTunnel, World, make_request

OK: Fields = [(b":status", b"200")]


def error_head(code: str, detail: str = "") -> Fields:
    fields = [(b":status", b"502"), (b"h2s-error", code.encode())]
    return [*fields, (b"h2s-error-detail", detail.encode())] if detail else fields


def begin(world: World, **changes: object) -> tuple[Exchange, FakeDownstream]:
    request = make_request(**changes)
    downstream = FakeDownstream(upgrade=request.upgrade is not None)
    return world.gateway.begin(request, downstream), downstream


# -- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_is_passed_on_and_counted_once() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world)
    assert tunnel.in_flight == world.instances[0].in_flight == world.gateway.in_flight == 1
    world.clock = 0.25
    exchange.on_head([*OK, (b"x-app", b"1"), (b"h2s-secret", b"2")], False)
    exchange.on_data(b"hello", 5, False)
    exchange.on_data(b"", 0, True)
    assert (client.status, client.fields, client.body) == (200, [(b"x-app", b"1")], b"hello")
    assert client.ended
    assert exchange.upstream_time == 0.25
    assert world.gateway.counters.requests == {("web", 2): 1}
    assert tunnel.fake.last.credited == 5
    tunnel.fake.last.agent_ended = True
    world.assert_at_rest()


def test_no_service_is_404_with_the_request_id() -> None:
    world = World()
    exchange, client = begin(world)
    assert client.status == 404
    assert json.loads(client.body)["request_id"] == exchange.request_id.decode()
    world.assert_at_rest()


def test_no_free_stream_is_503_with_retry_after() -> None:
    world = World()
    world.add(free=0)
    _, client = begin(world)
    assert client.status == 503
    assert (b"retry-after", b"1") in client.fields
    world.assert_at_rest()


def test_head_request_gets_no_body_in_an_error() -> None:
    _, client = begin(World(), method=b"HEAD")
    assert (client.status, client.body, client.ended) == (404, b"", True)


def test_informational_and_trailers_pass_without_internal_fields() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world)
    exchange.on_informational([(b":status", b"103"), (b"h2s-x", b"1")])
    exchange.on_head(OK, False)
    exchange.on_trailers([(b"x-sum", b"1"), (b"h2s-x", b"1")])
    assert client.informational == [103]
    assert client.trailers == [(b"x-sum", b"1")]
    assert world.finished == 1
    assert not tunnel.fake.streams


def test_answer_before_the_request_has_ended_resets_the_tunnels_stream() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world, method=b"POST", end_stream=False)
    exchange.on_request_data(b"a", end_stream=False)
    exchange.on_head(OK, True)
    assert client.ended
    assert tunnel.fake.last.reset_code == ErrorCode.NO_ERROR
    exchange.on_request_data(b"b", end_stream=True)
    assert tunnel.fake.last.sent == [b"a"]
    world.assert_at_rest()


def test_request_trailers_go_without_fields_in_the_edges_name() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, _ = begin(world, method=b"POST", end_stream=False)
    exchange.on_request_trailers([(b"x-sum", b"1"), (b"h2s-control", b"1"), (b"x_real_ip", b"1")])
    assert tunnel.fake.last.trailers == [(b"x-sum", b"1")]


# -- failures and retries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "retried"), [(b"GET", True), (b"PUT", True), (b"POST", False)])
def test_only_an_idempotent_request_is_sent_again_when_it_may_have_run(method: bytes, retried: bool) -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world, method=method)
    first = exchange.instance
    tunnel_of(exchange).fake.lose()
    assert exchange.retries == world.gateway.counters.retries == retried
    if retried:
        assert exchange.instance is not first
        assert exchange.error == ""
    else:
        assert (client.status, exchange.error) == (502, "tunnel_lost")


@pytest.mark.parametrize(
    ("ending", "counts"),
    [
        (lambda one: one.on_head([(b":status", b"502")], True), True),
        (lambda one: one.on_head([(b":status", b"504")], False), True),
        (lambda one: one.on_head(error_head("upstream-timeout"), True), True),
        (lambda one: tunnel_of(one).fake.lose(), True),
        (lambda one: one.on_head([(b":status", b"500")], True), False),
        (lambda one: one.on_head([(b":status", b"505")], True), False),
        (lambda one: tunnel_of(one).fake.lose(processed=False), False),
        (lambda one: lose_connection(tunnel_of(one)), False),
    ],
    ids=["502", "504", "agent", "reset", "500", "505", "refused", "connection lost"],
)
def test_what_goes_wrong_behind_an_agent_counts_against_its_instance(
    ending: Callable[[Exchange], None], counts: bool
) -> None:
    world = World()
    world.add()
    exchange, _ = begin(world, method=b"POST")
    ending(exchange)
    [instance] = world.instances
    assert instance.failures == counts


def lose_connection(tunnel: FakeTunnel) -> None:
    tunnel.fake.closed = True
    tunnel.fake.lose()


def test_a_good_answer_begins_the_count_of_failures_anew() -> None:
    world = World()
    world.add()
    [instance] = world.instances
    instance.failures = 4
    begin(world)[0].on_head([(b":status", b"404")], True)
    assert instance.failures == 0


def test_an_instance_whose_answers_go_wrong_is_ejected_and_the_rest_serves() -> None:
    world = World(balancing=Balancing(slow_start=0.0))
    for name in "ab":
        world.add(name)
    bad = world.registry.agents["a"].instances["web"]
    for _ in range(50):
        exchange, _ = begin(world)
        while exchange.instance is bad and not exchange._finished:
            exchange.on_head(error_head("upstream-refused"), True)
        if not exchange._finished:
            exchange.on_head(OK, True)
        assert exchange.status == 200
    assert bad.ejected
    assert bad.failures == 0
    before = len(world.registry.agents["a"].tunnels[0].fake.known)  # type: ignore[attr-defined]
    assert before == 5


def tunnel_of(exchange: Exchange) -> FakeTunnel:
    assert exchange.instance is not None
    tunnel = max(exchange.instance.agent.tunnels, key=lambda tunnel: tunnel.in_flight)
    assert isinstance(tunnel, FakeTunnel)
    return tunnel


def test_a_refused_post_is_sent_again() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, _ = begin(world, method=b"POST")
    tunnel_of(exchange).fake.lose(processed=False)
    assert exchange.retries == 1


def test_a_request_whose_body_has_begun_is_never_sent_again() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world, method=b"PUT", end_stream=False)
    exchange.on_request_data(b"a", end_stream=False)
    tunnel_of(exchange).fake.lose(processed=False)
    assert exchange.retries == 0
    assert client.status == 503
    world.assert_at_rest()


def test_an_upgrade_that_may_have_run_is_not_sent_again() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world, upgrade=b"websocket", end_stream=False)
    tunnel_of(exchange).fake.lose()
    assert (exchange.retries, client.status) == (0, 502)


def test_a_lost_tunnel_of_the_only_instance_is_retried_on_its_other_tunnel() -> None:
    world = World()
    tunnels = world.add(tunnels=2)
    exchange, _ = begin(world)
    used = tunnel_of(exchange)
    used.draining = True
    used.fake.lose()
    assert exchange.retries == 1
    assert [tunnel.in_flight for tunnel in tunnels] == [int(tunnel is not used) for tunnel in tunnels]


def test_a_retry_without_another_instance_is_not_counted() -> None:
    world = World()
    world.add()
    exchange, client = begin(world)
    tunnel_of(exchange).fake.lose()
    assert (exchange.retries, world.gateway.counters.retries, client.status) == (0, 0, 502)


def test_retries_are_bounded() -> None:
    world = World()
    for name in "abcdef":
        world.add(name)
    exchange, client = begin(world)
    for _ in range(3):
        tunnel_of(exchange).fake.lose()
    assert (exchange.retries, client.status) == (2, 502)
    world.assert_at_rest()


def test_an_app_that_was_never_reached_is_tried_elsewhere_and_the_first_stream_is_closed() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world, method=b"POST", end_stream=False)
    first = tunnel_of(exchange)
    exchange.on_head(error_head("upstream-refused", "port 3000"), False)
    assert first.fake.last.reset_code == ErrorCode.NO_ERROR
    exchange.on_head(error_head("upstream-refused"), False)
    assert client.status == 502
    assert json.loads(client.body)["code"] == "upstream_refused"
    world.assert_at_rest()


@pytest.mark.parametrize(("method", "retried"), [(b"GET", True), (b"PUT", True), (b"POST", False)])
def test_an_app_that_broke_off_is_tried_elsewhere_when_that_is_safe(method: bytes, retried: bool) -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world, method=method)
    first = exchange.instance
    exchange.on_head(error_head("upstream-closed"), True)
    assert exchange.retries == world.gateway.counters.retries == retried
    if retried:
        assert exchange.instance is not first
    else:
        assert (client.status, exchange.error) == (502, "upstream-closed")


def test_a_hung_app_is_not_waited_for_twice() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    exchange, client = begin(world)
    exchange.on_head(error_head("upstream-timeout"), True)
    assert (exchange.retries, client.status) == (0, 504)


def test_an_agents_error_with_an_open_body_leaves_no_stream_behind() -> None:
    world = World()
    world.add()
    exchange, client = begin(world)
    exchange.on_head(error_head("upstream-timeout"), False)
    assert client.status == 504
    world.assert_at_rest()


def test_an_agents_words_reach_the_log_bounded_and_the_client_not_at_all() -> None:
    world = World()
    world.add()
    exchange, client = begin(world)
    exchange.on_head(error_head("made-up", "x" * 10_000), True)
    assert len(exchange.error) == 256
    assert json.loads(client.body)["code"] == "upstream_error"
    assert b"made" not in client.body


def test_a_response_cut_in_the_tunnel_is_cut_for_the_client() -> None:
    world = World()
    world.add()
    exchange, client = begin(world)
    exchange.on_head(OK, False)
    tunnel_of(exchange).fake.lose()
    assert client.aborted
    assert not client.ended
    assert (exchange.status, exchange.error) == (200, "tunnel_reset")
    world.assert_at_rest()


def test_a_client_that_leaves_is_logged_as_499_and_the_agent_is_told() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world)
    client.gone = True
    exchange.on_client_gone()
    exchange.on_client_gone()
    assert (exchange.status, exchange.error, world.finished) == (499, "client_gone", 1)
    assert tunnel.fake.last.reset_code == ErrorCode.CANCEL
    world.assert_at_rest()


def test_a_client_that_was_refused_the_rest_of_its_request_is_logged_with_its_answer() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world)
    client.gone = True
    exchange.on_client_gone(Refusal(408, "timeout", "The request did not come in time."))
    assert (exchange.status, exchange.error, world.finished) == (408, "timeout", 1)
    assert tunnel.fake.last.reset_code == ErrorCode.CANCEL
    world.assert_at_rest()


# -- upgrades ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_trailers", [False, True])
def test_an_upgrade_ends_when_both_directions_have(by_trailers: bool) -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world, upgrade=b"websocket", end_stream=False)
    exchange.on_head(OK, False)
    exchange.on_data(b"bye", 3, True)
    tunnel.fake.last.agent_ended = True
    assert client.ended
    assert world.finished == 0
    if by_trailers:
        exchange.on_request_trailers([(b"x", b"y")])
    else:
        exchange.on_request_data(b"", end_stream=True)
    assert world.finished == 1
    world.assert_at_rest()


def test_a_refused_upgrade_ends_with_its_response() -> None:
    world = World()
    world.add()
    exchange, client = begin(world, upgrade=b"websocket", end_stream=False)
    exchange.on_head([(b":status", b"403")], False)
    exchange.on_data(b"no", 2, True)
    assert client.status == 403
    world.assert_at_rest()


def test_a_half_closed_upgrade_is_shed_without_a_word_to_its_ended_client() -> None:
    world = World()
    world.add()
    exchange, client = begin(world, upgrade=b"websocket", end_stream=False)
    exchange.on_head(OK, False)
    exchange.on_data(b"", 0, True)
    exchange.shed()
    assert not client.aborted
    world.assert_at_rest()


# -- backpressure and the budget -----------------------------------------------------------------------------------


def test_what_the_client_does_not_take_is_owed_until_it_does() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world)
    exchange.on_head(OK, False)
    client.takes = False
    exchange.on_data(b"x" * 100, 100, False)
    assert (world.budget.total, tunnel.fake.last.credited) == (100, 0)
    exchange.on_downstream_drained()
    assert (world.budget.total, tunnel.fake.last.credited) == (0, 100)


def test_what_a_stalled_client_was_sent_ahead_is_counted_too() -> None:
    world = World()
    world.add()
    exchange, client = begin(world)
    client.write_ahead = 64
    exchange.on_head(OK, False)
    exchange.on_data(b"x" * 64, 64, False)
    assert world.budget.total == 0
    client.takes = False
    exchange.on_data(b"x" * 100, 100, False)
    assert world.budget.total == 164
    exchange.on_downstream_drained()
    assert world.budget.total == 0


def test_both_directions_are_held_at_once() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world, method=b"POST", end_stream=False)
    exchange.on_head(OK, False)
    tunnel.fake.takes = client.takes = False
    exchange.on_request_data(b"x" * 1000, end_stream=False)
    exchange.on_data(b"x" * 100, 100, False)
    assert client.paused
    assert world.budget.total == 1100
    exchange.on_downstream_drained()
    assert world.budget.total == 1000
    exchange.on_request_data(b"x" * 500, end_stream=False)
    assert world.budget.total == 1500
    exchange.on_drained()
    assert not client.paused
    assert world.budget.total == 0


def test_the_end_of_a_paused_request_is_no_reason_to_resume_it() -> None:
    world = World()
    [tunnel] = world.add()
    exchange, client = begin(world, method=b"POST", end_stream=False)
    tunnel.fake.takes = False
    exchange.on_request_data(b"x", end_stream=False)
    exchange.on_head(OK, True)
    assert client.paused
    world.assert_at_rest()


@pytest.mark.parametrize("head_sent", [False, True])
def test_the_exchange_that_holds_most_is_shed_above_the_limit(head_sent: bool) -> None:
    world = World(limit=1000)
    [tunnel] = world.add()
    exchange, client = begin(world, method=b"POST", end_stream=False)
    if head_sent:
        exchange.on_head(OK, False)
    tunnel.fake.takes = False
    exchange.on_request_data(b"x" * 2000, end_stream=False)
    assert (client.aborted, client.status) == ((True, 200) if head_sent else (False, 503))
    assert exchange.error == "memory_limit"
    assert tunnel.fake.last.reset_code == ErrorCode.CANCEL
    world.assert_at_rest()


# -- any order of events -------------------------------------------------------------------------------------------


class Play:
    """Lets a client and the agents do whatever they may, in the order that Hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.world = World(limit=self.draw(st.sampled_from([50, 1 << 20])))
        self.tunnels = [
            tunnel for name in "abc"[: self.draw(st.integers(0, 3))] for tunnel in self.world.add(name)
        ]
        upgrade = self.draw(st.sampled_from([None, b"websocket"]))
        self.request_ended = upgrade is None and self.draw(st.booleans())
        self.impatient, self.fragile = self.draw(st.booleans()), self.draw(st.booleans())
        method = self.draw(st.sampled_from([b"GET", b"POST", b"HEAD"]))
        self.exchange, self.client = begin(
            self.world, method=method, upgrade=upgrade, end_stream=self.request_ended
        )

    def run(self) -> None:
        for _ in range(self.draw(st.integers(0, 25))):
            steps = [*self.client_steps(), *self.agent_steps()]
            if not steps:
                break
            self.draw(st.sampled_from(steps))()
        half_closed = self.client.accepted and self.client.ended and not self.client.gone
        if not self.client.over or (half_closed and not self.request_ended):
            self.leave()
        assert self.world.finished == 1
        self.world.assert_at_rest()

    # -- the client

    def client_steps(self) -> list:
        if self.client.gone or self.client.aborted:
            return []
        steps = [self.toggle_client]
        if self.impatient and (not self.client.ended or self.client.accepted):
            steps.append(self.leave)
        if not self.request_ended:
            steps += [self.upload, self.end_upload, self.upload_trailers]
        if self.client.waiting and not self.client.over:
            steps.append(self.take)
        return steps

    def toggle_client(self) -> None:
        self.client.takes = not self.client.takes

    def leave(self) -> None:
        self.client.gone = True
        self.exchange.on_client_gone()

    def upload(self) -> None:
        self.exchange.on_request_data(b"x" * self.draw(st.integers(0, 40)), end_stream=False)

    def end_upload(self) -> None:
        self.request_ended = True
        self.exchange.on_request_data(b"end", end_stream=True)

    def upload_trailers(self) -> None:
        self.request_ended = True
        self.exchange.on_request_trailers([(b"x", b"y")])

    def take(self) -> None:
        self.client.waiting = False
        self.exchange.on_downstream_drained()

    # -- the agents

    def live(self) -> tuple[FakeTunnel, FakeStream] | None:
        for tunnel in self.tunnels:
            for stream_id in tunnel.fake.streams:
                return tunnel, tunnel.fake.known[stream_id]
        return None

    def agent_steps(self) -> list:
        live = self.live()
        if live is None:
            return []
        tunnel, stream = live
        steps = [lambda: self.toggle_agent(tunnel)]
        if self.fragile:
            steps.append(lambda: tunnel.fake.lose(processed=self.draw(st.booleans())))
        if tunnel.fake.backlog:
            steps.append(lambda: self.drain(tunnel, stream))
        if stream.agent_ended:
            return steps
        if stream.agent_headed:
            steps += [lambda: self.body(stream), lambda: self.agent_trailers(stream)]
        else:
            steps += [lambda: self.head(stream), lambda: self.error(stream)]
            steps.append(lambda: stream.taker.on_informational([(b":status", b"103")]))
        return steps

    def toggle_agent(self, tunnel: FakeTunnel) -> None:
        tunnel.fake.takes = not tunnel.fake.takes

    def drain(self, tunnel: FakeTunnel, stream: FakeStream) -> None:
        tunnel.fake.backlog = 0
        stream.taker.on_drained()

    def head(self, stream: FakeStream) -> None:
        stream.agent_headed = True
        stream.agent_ended = self.draw(st.booleans())
        status = self.draw(st.sampled_from([b"200", b"404"]))
        stream.taker.on_head([(b":status", status)], stream.agent_ended)

    def error(self, stream: FakeStream) -> None:
        stream.agent_headed = True
        stream.agent_ended = self.draw(st.booleans())
        code = self.draw(
            st.sampled_from(["upstream-refused", "upstream-closed", "upstream-timeout", "made-up"])
        )
        stream.taker.on_head(error_head(code), stream.agent_ended)

    def body(self, stream: FakeStream) -> None:
        stream.agent_ended = self.draw(st.booleans())
        size = self.draw(st.integers(0, 40))
        stream.taker.on_data(b"x" * size, size, stream.agent_ended)

    def agent_trailers(self, stream: FakeStream) -> None:
        stream.agent_ended = True
        stream.taker.on_trailers([(b"x", b"y")])


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_any_order_of_events_ends_once_and_leaves_nothing(data: st.DataObject) -> None:
    Play(data).run()
