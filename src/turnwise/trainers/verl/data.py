"""The datasets verl's trainers read: tasks for reinforcement learning, token sequences for the supervised start."""

from typing import Any

import torch
from torch.utils.data import Dataset

from turnwise.tasks import Task


class TaskDataset(Dataset):
    """Tasks from JSONL files; the agent loop builds the prompt, so a row carries the task itself."""

    def __init__(self, *, data_files: Any, config: Any, max_samples: int = -1, **_: Any) -> None:
        paths = [data_files] if isinstance(data_files, str) else list(data_files)
        # The evaluation panel is told apart by its file, the one thing verl gives both datasets alike.
        self.purpose = "train" if paths == [str(config.train_files)] else "eval"
        lines = [line for path in paths for line in open(path, encoding="utf-8") if line.strip()]  # noqa: SIM115
        self.tasks = [Task.model_validate_json(line) for line in lines]
        if max_samples > 0:
            self.tasks = self.tasks[:max_samples]

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        task = self.tasks[index]
        return {
            "raw_prompt": [{"role": "user", "content": task.instruction}],
            # verl wants one tensor a row.
            "dummy_tensor": torch.tensor([0], dtype=torch.uint8),
            "index": index,
            "task": task.model_dump_json(),
            "purpose": self.purpose,
            "data_source": task.env,
            "reward_model": {"ground_truth": ""},
            "extra_info": {"index": index},
            "tools_kwargs": {},
            "interaction_kwargs": {},
        }


class TokenDataset(Dataset):
    """Token sequences with the mask of what is learnt, from a Parquet file."""

    def __init__(self, *, parquet_files: Any, config: Any, max_samples: int = -1, **_: Any) -> None:
        from pyarrow import parquet

        paths = [parquet_files] if isinstance(parquet_files, str) else list(parquet_files)
        rows = [row for path in paths for row in parquet.read_table(path).to_pylist()]
        longest = int(config.max_length)
        self.rows = [row for row in rows if len(row["token_ids"]) <= longest]
        if max_samples > 0:
            self.rows = self.rows[:max_samples]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.rows[index]
        ids = torch.tensor(row["token_ids"], dtype=torch.long)
        return {
            "input_ids": ids,
            "position_ids": torch.arange(len(ids)),
            "loss_mask": torch.tensor(row["loss_mask"], dtype=torch.long),
        }
