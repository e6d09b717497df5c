"""When the next worker starts, and when the GPU is given up."""

from __future__ import annotations

from obs_stylizer.daemon.restart_policy import RestartPolicy


def test_first_restart_is_at_once_and_later_ones_wait_longer() -> None:
    policy = RestartPolicy(gpu_failures=3)
    pauses = [policy.failed(1.0, on_gpu=False).pause for _ in range(7)]
    assert pauses == [0.0, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]


def test_half_a_minute_of_health_begins_a_new_row() -> None:
    policy = RestartPolicy(gpu_failures=3)
    for _ in range(3):
        policy.failed(1.0, on_gpu=False)
    assert policy.failed(31.0, on_gpu=False).pause == 0.0


def test_gpu_is_given_up_after_three_in_a_row() -> None:
    policy = RestartPolicy(gpu_failures=3)
    decisions = [policy.failed(1.0, on_gpu=True) for _ in range(3)]
    assert [decision.give_up_gpu for decision in decisions] == [False, False, True]
    assert decisions[-1].pause == 0.0


def test_failures_elsewhere_or_long_ago_do_not_count_against_the_gpu() -> None:
    policy = RestartPolicy(gpu_failures=3)
    policy.failed(1.0, on_gpu=True)
    policy.failed(1.0, on_gpu=True)
    policy.failed(1.0, on_gpu=False)
    assert not policy.failed(1.0, on_gpu=True).give_up_gpu
    policy.failed(1.0, on_gpu=True)
    assert not policy.failed(60.0, on_gpu=True).give_up_gpu
