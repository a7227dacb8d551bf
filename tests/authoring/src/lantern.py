"""Find the room where the lantern hangs: a whole environment, its tasks and its panel."""

import random

from pydantic import BaseModel, JsonValue

from turnwise.envs import Grade, InvalidCall, StopReason, ToolEnv, tool
from turnwise.tasks import Generator, Knobs, Task, TaskSet


class House(BaseModel):
    """The data of a task: which room leads to which, and what is written on each wall."""

    doors: dict[str, list[str]]
    walls: dict[str, str]


class Lantern(ToolEnv):
    """Walk through a house, read the walls, and name the room where the lantern hangs."""

    name = "lantern"
    version = "1"
    default_panel = "lantern/rooms@1"
    Data = House

    async def begin(self) -> str:
        self.room, self.named = "hall", ""
        return f"{self.task.instruction}\n{self._look()}"

    def state(self) -> JsonValue:
        return {"room": self.room, "named": self.named}

    async def grade(self) -> Grade:
        right = self.named == self.task.gold["room"]
        return Grade(float(right), right)

    @tool
    def go(self, room: str) -> str:
        """Go into a neighbouring room and read its wall."""
        if room not in self.data.doors[self.room]:
            raise InvalidCall(f"No door leads there. Doors: {', '.join(self.data.doors[self.room])}")
        self.room = room
        return self._look()

    @tool
    def name_room(self, room: str) -> str:
        """Say where the lantern hangs; this ends the search."""
        self.named = room
        self.finish(StopReason.SOLVED if room == self.task.gold["room"] else StopReason.ENDED)
        return "You have named a room."

    def _look(self) -> str:
        return f"{self.room}: {self.data.walls[self.room]}. Doors: {', '.join(self.data.doors[self.room])}"


class HouseKnobs(Knobs):
    rooms: int = 8


class Rooms(Generator):
    """Houses that are a chain of rooms; the wall of the last one says where the lantern hangs."""

    name, version, env, Knobs = "lantern", "1", "lantern", HouseKnobs

    def draw(self, rng: random.Random) -> Task:
        chain = ["hall", *(f"{rng.choice('bcdfgk')}{rng.choice('aeiou')}{n:02d}" for n in range(1, self.knobs.rooms))]
        doors = {room: [chain[n - 1]] * (n > 0) + chain[n + 1 : n + 2] for n, room in enumerate(chain)}
        target = rng.choice(chain[1:])
        walls: dict[str, str] = dict.fromkeys(chain, "a bare wall") | {chain[-1]: f"the lantern hangs in {target}"}
        path: list[JsonValue] = [*(f"go[{room}]" for room in chain[1:]), f"name_room[{target}]"]
        data: dict[str, JsonValue] = {"doors": dict(doors), "walls": dict(walls)}
        return Task(id="", env="lantern", instruction="Where does the lantern hang?", data=data,
                    gold={"room": target, "actions": path}, difficulty=self.knobs.rooms)  # fmt: skip


def rooms() -> TaskSet:
    """Return the panel."""
    return Rooms().panel({"train": 20, "test": 20}, seed=1, name="lantern/rooms")
