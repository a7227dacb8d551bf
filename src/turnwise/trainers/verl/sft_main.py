"""``python -m turnwise.trainers.verl.sft_main``: verl's supervised trainer with the CPU platform loaded first."""

import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    import turnwise.trainers.verl.platform_cpu  # noqa: F401 - registers itself

import hydra
from omegaconf import DictConfig
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils import distributed


@hydra.main(config_path="pkg://verl.trainer.config", config_name="sft_trainer_engine", version_base=None)
def main(config: DictConfig) -> None:
    """Train."""
    # verl's own entry would name the CPU twice in the process group's backend.
    distributed.initialize_global_process_group_ray()
    SFTTrainer(config=config).fit()
    distributed.destroy_global_process_group()


if __name__ == "__main__":
    main()
