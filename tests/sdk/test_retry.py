from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from backplane import (
    ApiError,
    AsyncClient,
    BackplaneError,
    Client,
    EdgeUnreachable,
    EdgeUntrusted,
    RateLimited,
    RetryPolicy,
    Route,
    ServerError,
    Target,
    Unavailable,
)
from backplane.call import Repeat

from .scripted import Reply, Scripted

POLICY = RetryPolicy(attempts=3, delay=0.001)
LOST = EdgeUnreachable("lost", sent=True)
UNSENT = EdgeUnreachable("refused", sent=False)
ROUTE = Route(name="shop", host="shop.example", targets=[Target(selector="service=web")])
GOOD = Reply(body=json.dumps(ROUTE.model_dump(mode="json")).encode())


def api_error(
    cls: type[ApiError], status: int, *, code: str = "x", retry_after: float | None = None
) -> ApiError:
    return cls("no", status=status, code=code, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "repeat", "tried_again"),
    [
        (LOST, Repeat.SAFELY, True),
        (LOST, Repeat.UNDONE, False),
        (UNSENT, Repeat.UNDONE, True),
        (EdgeUntrusted("no"), Repeat.SAFELY, False),
        (api_error(Unavailable, 503), Repeat.SAFELY, True),
        (api_error(Unavailable, 503), Repeat.UNDONE, False),
        (api_error(ServerError, 502), Repeat.SAFELY, True),
        (api_error(ServerError, 500), Repeat.SAFELY, False),
        (api_error(RateLimited, 429), Repeat.UNDONE, True),
        (api_error(RateLimited, 429, code="too_many_attempts"), Repeat.SAFELY, False),
        (api_error(ApiError, 404), Repeat.SAFELY, False),
        (api_error(Unavailable, 503, retry_after=3600), Repeat.SAFELY, False),
    ],
)
def test_only_what_cannot_do_harm_is_tried_again(
    error: BackplaneError, repeat: Repeat, tried_again: bool
) -> None:
    wait = RetryPolicy().wait(error, repeat=repeat, attempt=1, draw=0.5)
    assert (wait is not None) is tried_again


def test_waits_grow_to_a_bound_and_come_to_an_end() -> None:
    policy = RetryPolicy(attempts=8, delay=1, longest_delay=4)
    waits = [policy.wait(LOST, repeat=Repeat.SAFELY, attempt=number, draw=1.0) for number in range(1, 9)]
    assert waits == [1, 2, 4, 4, 4, 4, 4, None]


def test_retry_after_is_the_least_wait() -> None:
    error = api_error(Unavailable, 503, retry_after=2)
    assert RetryPolicy().wait(error, repeat=Repeat.SAFELY, attempt=1, draw=0.0) == 2


def get(client: Client) -> object:
    return client.routes.get("shop")


def create(client: Client) -> object:
    return client.routes.create(ROUTE)


def put(client: Client) -> object:
    return client.routes.replace(ROUTE)


def put_over(client: Client) -> object:
    return client.routes.replace(ROUTE, if_version=1)


def delete(client: Client) -> object:
    return client.routes.delete("shop")


@pytest.mark.parametrize(
    ("call", "failure", "sent"),
    [
        (get, Reply(503), 2),
        (get, Reply(0), 2),
        (put, Reply(0), 2),
        (put_over, Reply(0), 1),
        (create, Reply(0), 1),
        (create, Reply(503), 1),
        (create, Reply(429, headers={"Retry-After": "0"}), 2),
        (delete, Reply(0), 1),
    ],
)
def test_request_is_sent_again_where_that_is_safe(
    call: Callable[[Client], object], failure: Reply, sent: int
) -> None:
    with Scripted([failure, GOOD]).serving() as server, Client(server.url, retry=POLICY) as client:
        if sent == 1:
            with pytest.raises(BackplaneError):
                call(client)
        else:
            call(client)
    assert len(server.asked) == sent


def test_attempts_come_to_an_end() -> None:
    with Scripted([Reply(503)]).serving() as server:
        client = Client(server.url, retry=POLICY)
        with client, pytest.raises(Unavailable):
            client.routes.get("shop")
    assert len(server.asked) == 3


def test_coroutines_try_again_too() -> None:
    async def main(url: str) -> Route:
        async with AsyncClient(url, retry=POLICY) as client:
            return await client.routes.get("shop")

    with Scripted([Reply(0), Reply(503), GOOD]).serving() as server:
        assert asyncio.run(main(server.url)).name == "shop"
