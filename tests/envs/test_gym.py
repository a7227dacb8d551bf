"""Any environment behind Gymnasium's interface, checked by Gymnasium's own checker."""

import warnings

import pytest

from turnwise.envs import Env
from turnwise.errors import ConfigError, EnvError, TaskError
from turnwise.tasks import Task

gymnasium = pytest.importorskip("gymnasium")


def test_gymnasiums_own_checker_passes(corridor_env: type[Env], corridors: list[Task]) -> None:
    from gymnasium.utils.env_checker import check_env

    from turnwise.envs.gym import GymEnv

    env = GymEnv(corridor_env, corridors, render_mode="ansi")
    with warnings.catch_warnings():
        # Its two remarks are about environments made by gymnasium.make and arrays of pixels.
        warnings.filterwarnings("ignore", message=".*(spec|different from the unwrapped).*")
        check_env(env, skip_close_check=True)
    env.close()
    env.close()


def test_an_episode_as_gymnasium_users_write_it(corridor_env: type[Env], corridors: list[Task]) -> None:
    from turnwise.envs.gym import GymEnv

    env = GymEnv(corridor_env, corridors, turns=3)
    try:
        observation, info = env.reset(seed=1, options={"task": "c2"})
        assert observation.startswith("Pass door 2.")
        assert info["task"] == "c2"
        env.step("walk[2]")
        *_, terminated, truncated, info = env.step(f"say[{corridors[2].gold['word']}]")
        assert (terminated, truncated, info["score"], info["success"]) == (True, False, 1.0, True)
        with pytest.raises(EnvError, match="over"):
            env.step("walk[1]")
        env.reset()
        results = [env.step("walk[1]") for _ in range(3)]
        assert [result[3] for result in results] == [False, False, True]
        assert results[-1][4]["score"] == pytest.approx(0.075)
    finally:
        env.close()


def test_seeds_choose_the_tasks(corridor_env: type[Env], corridors: list[Task]) -> None:
    from turnwise.envs.gym import GymEnv

    env = GymEnv(corridor_env, corridors, wrap=["failing:p=0.5"])
    try:
        first = [env.reset(seed=5)[1]["task"], *(env.reset()[1]["task"] for _ in range(5))]
        again = [env.reset(seed=5)[1]["task"], *(env.reset()[1]["task"] for _ in range(5))]
        assert first == again
        assert len(set(first)) > 1
        with pytest.raises(TaskError, match="no task 'c99'"):
            env.reset(options={"task": "c99"})
    finally:
        env.close()


def test_wrong_use_is_refused(corridor_env: type[Env], corridors: list[Task]) -> None:
    from turnwise.envs.gym import GymEnv

    with pytest.raises(ConfigError, match="names no default panel"):
        GymEnv(corridor_env)
    with pytest.raises(ConfigError, match="setting 'colour'"):
        GymEnv(corridor_env, corridors, colour="red")
