"""What is wrong with a Ray cluster is said in one line."""

import pytest

from hifa_cli.errors import HifaError
from hifa_cli.runtime.ray_pool import _connect, device_of_nodes


class Ray:
    """Refuses every connection, as the library does."""

    def __init__(self, why: str) -> None:
        self.why = why

    def init(self, **more: object) -> None:
        try:
            raise RuntimeError(self.why)
        except RuntimeError as error:
            raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379") from error


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("RPC error: InvalidAuthToken: Authentication token is missing", "set RAY_AUTH_MODE=token"),
        ("RPC error: Deadline Exceeded", "no Ray cluster answers at RAY_ADDRESS=10.0.0.1:6379"),
    ],
)
def test_a_cluster_that_wants_a_token_and_one_that_is_down_are_told_apart(
    why: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(HifaError, match=said):
        _connect(Ray(why))


def test_a_gpu_is_the_nodes_matter() -> None:
    assert device_of_nodes("cuda:3") == "cuda"
    assert device_of_nodes("cpu") == "cpu"
    with pytest.raises(HifaError, match="no device"):
        device_of_nodes("abacus")
