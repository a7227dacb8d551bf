"""A store with everything the viewer shows: groups, credit by two methods, tokens, images, failures, hostile text."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import numpy as np

from tiny_env import CountEnv, tasks
from trajectory_samples import a_run
from turnwise.agents import collect, make_agent, panel_ref, plan
from turnwise.envs import Observation
from turnwise.trajectories import CreditRow, Store, TokenSequence, Trajectory

EVIL = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></textarea></style>"
    "<svg onload=document.title='owned'>{{ 7 * 7 }} javascript:alert(1) \u202eevil"
)


PAGE = (
    "<html><head><meta http-equiv=refresh content='0;url=http://outside.example/refresh'>"
    "<link rel=preconnect href=http://outside.example><LINK rel=stylesheet href=http://outside.example/s.css>"
    "<base href=http://outside.example/><style>@import 'http://outside.example/i.css'; h1 { color: rgb(1, 2, 3) } "
    "body { background: url(http://outside.example/b.png) }</style></head>"
    "<body onload=\"parent.document.title='owned'\">"
    "<h1>Checkout</h1><script>parent.document.title='owned'; fetch('http://outside.example/f')</script>"
    "<img src=http://outside.example/i.png onerror=\"top.location='http://outside.example'\">"
    "<iframe src=http://outside.example/frame></iframe><object data=http://outside.example/o></object>"
    "<form action=http://outside.example/form><button>Buy</button></form><a href=http://outside.example/go>Go</a></body></html>"
)
"""A page an agent was shown that tries to run, to reach outside and to lead away."""


def make(path: Path, n: int = 8, samples: int = 4) -> Path:
    """Fill a store, in a thread of its own: a browser's driver may hold this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_make, path, n, samples).result()


def _make(path: Path, n: int, samples: int) -> Path:
    with Store.open(path, "a") as store:
        panel = tasks(n, target=4, image=True)
        run = a_run("baseline", panel=panel_ref(panel), env="count", agent="random", episodes=n * samples)

        def credited(episode: Trajectory) -> None:
            add_credit(store, episode)

        async def main() -> None:
            jobs = plan(panel, run="baseline", samples=samples, panel=run.panel)
            await collect(CountEnv, make_agent("random"), jobs, store=store, run=run, on_episode=credited)
            broken = plan(tasks(2, target=4, breaks_at=1), run="broken")
            await collect(CountEnv, make_agent("oracle"), broken, store=store, run=a_run("broken"), retries=1)

        anyio.run(main)
        store.append([a_run("evil " + EVIL), evil(next(store.episodes("baseline")))])
        for step in range(40):
            store.put_metrics(
                "baseline", step, {"reward/mean": 1 - 0.9**step, "loss": 2 / (1 + step), "kl": 0.01 * step}
            )
    return path


def add_credit(store: Store, episode: Trajectory) -> None:
    """Give an episode credit by two methods; with token advantages."""
    rng = random.Random(episode.episode_id)
    for method in ("turn_rloo", "grpo"):
        values = [rng.uniform(-1, 1) if method == "turn_rloo" else 0.4 for _ in episode.turns]
        tokens = [0.0] * 10 + [rng.uniform(-1, 1) for _ in range(20)]
        store.put_credit(
            [
                CreditRow(
                    run=episode.run, episode_id=episode.episode_id, method=method, advantages=values,
                    token_advantages=tokens, params={"gamma": 1.0},
                )
            ]
        )  # fmt: skip


def evil(like: Trajectory) -> Trajectory:
    """An episode whose every text attacks its reader."""
    sequence = TokenSequence(
        token_ids=np.arange(30), logprobs=-np.arange(30) / 10, source=np.r_[np.ones(10), np.zeros(20)],
        loss_mask=np.r_[np.zeros(10, bool), np.ones(20, bool)], tokenizer=EVIL,
    )  # fmt: skip
    turn = like.turns[0].model_copy(update={"text": EVIL, "reasoning": EVIL, "observation": Observation.of(PAGE)})
    call = like.turns[0].calls[0].model_copy(update={"name": EVIL, "arguments": {EVIL: EVIL}})
    return like.model_copy(
        update={
            "run": "evil " + EVIL, "episode_id": "e" * 32, "task_id": EVIL, "model": EVIL, "system_prompt": EVIL,
            "turns": (turn, turn.model_copy(update={"index": 1, "calls": (call,)})), "sequences": (sequence,),
        }
    )  # fmt: skip
