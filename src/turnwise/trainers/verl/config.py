"""What a recipe becomes: the overrides of verl's own configuration, one list for every device."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from turnwise.trainers.budget import SftLength, spent_by
from turnwise.trainers.probes.supply import probes_for
from turnwise.trainers.recipe import CriticPart, LrPart, Recipe

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where a run keeps its files."""

    root: Path

    @property
    def model(self) -> Path:
        """The tiny model, where one is made."""
        return self.root / "model"

    @property
    def sft(self) -> Path:
        """The model after the supervised start, in the Hugging Face layout."""
        return self.root / "sft"

    @property
    def checkpoints(self) -> Path:
        """Verl's checkpoints."""
        return self.root / "checkpoints"

    @property
    def store(self) -> Path:
        """Every training and evaluation episode."""
        return self.root / "episodes.db"

    @property
    def train_tasks(self) -> Path:
        """The tasks of training, one a line."""
        return self.root / "train.jsonl"

    @property
    def eval_tasks(self) -> Path:
        """The fixed panel, one task a line."""
        return self.root / "eval.jsonl"

    @property
    def demonstrations(self) -> Path:
        """Token sequences of the supervised start."""
        return self.root / "demonstrations.parquet"

    @property
    def agent_loop(self) -> Path:
        """Tells verl's workers which agent loop to build."""
        return self.root / "agent_loop.yaml"

    @property
    def metrics(self) -> Path:
        """Metrics of reinforcement learning, one step a line, over all resumptions."""
        return self.root / "rl-metrics.jsonl"

    @property
    def verl_metrics(self) -> Path:
        """The same as verl writes them, of one process."""
        return self.root / "rl-metrics.part.jsonl"

    @property
    def sft_metrics(self) -> Path:
        """Metrics of the supervised start."""
        return self.root / "sft-metrics.jsonl"

    @property
    def trace(self) -> Path:
        """Tells what a killed run has left behind."""
        return self.root / "processes"

    @property
    def recipe(self) -> Path:
        """The recipe as it was run."""
        return self.root / "recipe.json"


def environment(recipe: Recipe, paths: Paths, stage: Literal["sft", "rl"]) -> dict[str, str]:
    """Return the environment variables that verl's processes need."""
    modules = ("rollout", "losses", "critic", "trainer") if stage == "rl" else ()
    plugins = [f"turnwise.trainers.verl.{module}" for module in modules]
    variables = {
        "GLOO_SOCKET_IFNAME": "lo",
        "HYDRA_FULL_ERROR": "1",
        # The rollout server asks Ray for no device of its own: it shares the worker's, and must keep seeing it.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_DEDUP_LOGS": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "TENSORBOARD_DIR": str(paths.root / "tensorboard"),
        "WANDB_DIR": str(paths.root),
        # Nothing leaves the machine unless the user says so.
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
        "TURNWISE_ROLLOUT_DEVICE": recipe.device,
    }
    if recipe.rl is not None and ":" in recipe.rl.loss:
        variables["TURNWISE_POLICY_LOSS"] = recipe.rl.loss
    if recipe.device == "cpu":
        plugins = ["turnwise.trainers.verl.platform_cpu", *plugins]
        variables |= {
            "VERL_PLATFORM": "cpu",
            # The FSDP engine is registered for "cuda" and "npu" and is neutral to the device.
            "VERL_ENGINE_DEVICE": "cuda",
            "OMP_NUM_THREADS": str(recipe.threads or os.cpu_count() or 1),
        }
    return variables | {"VERL_USE_EXTERNAL_MODULES": ",".join(plugins)}


def sft_overrides(recipe: Recipe, paths: Paths, model: str, length: SftLength | None = None) -> list[str]:
    """Return verl's settings for the supervised start; ``length`` is what a budget allows."""
    sft = recipe.sft
    assert sft is not None
    steps, epochs = (sft.steps, sft.epochs) if length is None else (length.steps, length.epochs)
    return [
        f"hydra.run.dir={paths.root / 'hydra-sft'}",
        f"model.path={model}",
        f"model.use_remove_padding={recipe.model.remove_padding}",
        f"model.enable_gradient_checkpointing={recipe.model.gradient_checkpointing}",
        f"+model.override_config.attn_implementation={recipe.model.attention}",
        f"data.train_files={paths.demonstrations}",
        f"data.custom_cls.path={HERE / 'data.py'}",
        "data.custom_cls.name=TokenDataset",
        f"data.train_batch_size={sft.batch}",
        f"data.micro_batch_size_per_gpu={sft.micro_batch}",
        "data.use_dynamic_bsz=False",
        "data.num_workers=0",
        f"data.max_length={recipe.context_tokens}",
        *_engine("engine", recipe),
        f"optim.lr={sft.lr}",
        "optim.lr_scheduler_type=cosine",
        "optim.lr_warmup_steps_ratio=0.03",
        "checkpoint.save_contents=[hf_model]",
        f"trainer.device={recipe.device}",
        f"trainer.n_gpus_per_node={recipe.gpus}",
        f"trainer.seed={recipe.seed}",
        "trainer.logger=[file]",
        f"trainer.project_name={recipe.name}",
        "trainer.experiment_name=sft",
        f"trainer.default_local_dir={paths.root / 'sft-checkpoints'}",
        f"trainer.total_epochs={epochs}",
        *([f"trainer.total_training_steps={steps}"] if steps else []),
        # The last step is saved in any case, and nothing reads another.
        "trainer.save_freq=-1",
        "trainer.resume_mode=disable",
    ]


def rl_overrides(recipe: Recipe, paths: Paths, model: str, *, done: int) -> list[str]:
    """Return verl's settings for reinforcement learning.

    Args:
        recipe: What to do.
        paths: Where.
        model: The policy to start from.
        done: Steps that the last checkpoint has behind it; 0: there is none.
    """
    return [
        f"hydra.run.dir={paths.root / 'hydra-rl'}",
        f"+turnwise.recipe={paths.recipe}",
        f"+turnwise.store={paths.store}",
        *_spent(recipe, paths, done),
        *_algorithm(),
        *_data(recipe, paths),
        *_policy(recipe, model),
        *_critic(recipe, model),
        *_rollout(recipe, paths),
        *_trainer(recipe, paths, done=done),
        "+ray_kwargs.ray_init.include_dashboard=False",
        # Ray runs whatever reaches its ports; on this address it listens to this machine alone.
        "+ray_kwargs.ray_init._node_ip_address=127.0.0.1",
        *(_logical_devices() if recipe.device == "cpu" else []),
    ]


def _engine(prefix: str, recipe: Recipe) -> list[str]:
    dtype = "fp32" if recipe.device == "cpu" else "bf16"
    return [
        # FSDP1 refuses to synchronise module states on a CPU; FSDP2 runs on both.
        f"{prefix}.strategy=fsdp2",
        f"{prefix}.use_torch_compile=False",
        f"{prefix}.model_dtype=fp32",
        f"+{prefix}.mixed_precision.param_dtype={dtype}",
        # On a CPU the same threads give the same bits; on a GPU the kernels must be told.
        f"{prefix}.full_determinism={recipe.deterministic and recipe.device == 'cuda'}",
    ]


def _algorithm() -> list[str]:
    # The trainer subclass replaces verl's estimator; whether there is a critic is said apart.
    return ["algorithm.adv_estimator=grpo", "algorithm.use_kl_in_reward=False"]


def _data(recipe: Recipe, paths: Paths) -> list[str]:
    rl = recipe.rl
    assert rl is not None
    return [
        f"data.train_files={paths.train_tasks}",
        f"data.val_files={paths.eval_tasks}",
        f"data.custom_cls.path={HERE / 'data.py'}",
        "data.custom_cls.name=TaskDataset",
        f"data.train_batch_size={rl.tasks_per_step}",
        f"data.max_prompt_length={recipe.prompt_tokens}",
        f"data.max_response_length={recipe.context_tokens - recipe.prompt_tokens}",
        "data.dataloader_num_workers=0",
        "data.validation_shuffle=False",
        f"data.seed={recipe.seed}",
    ]


def _policy(recipe: Recipe, model: str) -> list[str]:
    rl, lora = recipe.rl, recipe.model.lora
    assert rl is not None
    actor = "actor_rollout_ref.actor"
    settings = [
        f"actor_rollout_ref.model.path={model}",
        f"actor_rollout_ref.model.use_remove_padding={recipe.model.remove_padding}",
        f"actor_rollout_ref.model.enable_gradient_checkpointing={recipe.model.gradient_checkpointing}",
        f"+actor_rollout_ref.model.override_config.attn_implementation={recipe.model.attention}",
        f"{actor}.strategy=fsdp2",
        f"{actor}.use_torch_compile=False",
        *_engine(f"{actor}.fsdp_config", recipe)[1:],
        f"{actor}.ppo_mini_batch_size={rl.tasks_per_step // rl.mini_batches}",
        f"{actor}.ppo_micro_batch_size_per_gpu={rl.micro_batch}",
        f"{actor}.ppo_epochs={rl.epochs}",
        f"{actor}.shuffle=False",
        f"{actor}.data_loader_seed={recipe.seed}",
        f"{actor}.optim.lr={rl.lr}",
        *_lr_schedule(f"{actor}.optim", rl.lr_schedule),
        f"{actor}.grad_clip={rl.grad_clip}",
        f"{actor}.clip_ratio={rl.clip}",
        f"{actor}.clip_ratio_low={rl.clip}",
        f"{actor}.clip_ratio_high={rl.clip_high or rl.clip}",
        f"{actor}.loss_agg_mode={rl.aggregation}",
        f"{actor}.policy_loss.loss_mode='{rl.loss}'",
        f"{actor}.entropy_coeff={rl.entropy_coeff}",
        f"{actor}.use_kl_loss={rl.kl_coeff > 0 or 'kl_coeff' in rl.schedules}",
        f"{actor}.kl_loss_coef={rl.kl_coeff}",
        f"{actor}.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        f"actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu={rl.micro_batch}",
        *_engine("actor_rollout_ref.ref.fsdp_config", recipe),
    ]
    if lora is not None:
        settings += [
            f"actor_rollout_ref.model.lora_rank={lora.rank}",
            f"actor_rollout_ref.model.lora_alpha={lora.alpha}",
            f"actor_rollout_ref.model.target_modules={lora.target_modules}",
            "actor_rollout_ref.model.lora.merge=True",
        ]
    return settings


def _lr_schedule(prefix: str, part: LrPart) -> list[str]:
    settings = [f"{prefix}.lr_scheduler_type={part.kind}", f"{prefix}.lr_warmup_steps={part.warmup_steps}"]
    return settings + ([f"{prefix}.min_lr_ratio={part.end_share}"] if part.end_share is not None else [])


def _spent(recipe: Recipe, paths: Paths, done: int) -> list[str]:
    if recipe.budget is None:
        return []
    spent = spent_by(paths.metrics, done)
    return [f"+turnwise.spent.tokens={spent.tokens}", f"+turnwise.spent.seconds={spent.seconds}"]


def _critic(recipe: Recipe, model: str) -> list[str]:
    rl = recipe.rl
    assert rl is not None
    if "critic" not in probes_for(rl):
        return ["critic.enable=False"]
    part = rl.critic or CriticPart()
    return [
        "critic.enable=True",
        f"critic.model.path={model}",
        f"critic.model.tokenizer_path={model}",
        f"critic.model.use_remove_padding={recipe.model.remove_padding}",
        f"critic.model.enable_gradient_checkpointing={recipe.model.gradient_checkpointing}",
        f"+critic.model.override_config.attn_implementation={recipe.model.attention}",
        "critic.strategy=fsdp2",
        *_engine("critic.fsdp", recipe),
        f"critic.optim.lr={part.lr}",
        f"critic.cliprange_value={part.clip}",
        f"critic.ppo_micro_batch_size_per_gpu={rl.micro_batch}",
        f"critic.forward_micro_batch_size_per_gpu={rl.micro_batch}",
        f"critic.data_loader_seed={recipe.seed}",
        f"critic.grad_clip={rl.grad_clip}",
        f"trainer.critic_warmup={part.warmup_steps + 1}",
    ]


def _rollout(recipe: Recipe, paths: Paths) -> list[str]:
    rl = recipe.rl
    assert rl is not None
    rollout = "actor_rollout_ref.rollout"
    return [
        f"{rollout}.name={'vllm' if recipe.rollout == 'vllm' else 'turnwise'}",
        f"{rollout}.n={rl.group}",
        f"{rollout}.temperature={recipe.agent.temperature}",
        f"{rollout}.top_p={recipe.agent.top_p}",
        f"{rollout}.top_k={recipe.agent.top_k}",
        f"{rollout}.val_kwargs.temperature={recipe.agent.eval_temperature}",
        f"{rollout}.val_kwargs.do_sample={recipe.agent.eval_temperature > 0}",
        f"{rollout}.calculate_log_probs=True",
        f"{rollout}.full_determinism={recipe.deterministic}",
        f"{rollout}.seed={recipe.seed}",
        f"{rollout}.tensor_model_parallel_size=1",
        f"{rollout}.log_prob_micro_batch_size_per_gpu={rl.micro_batch}",
        f"{rollout}.n_gpus_per_node={recipe.gpus}",
        f"{rollout}.agent.num_workers=1",
        f"{rollout}.agent.default_agent_loop=turnwise",
        f"{rollout}.agent.agent_loop_config_path={paths.agent_loop}",
    ]


def _trainer(recipe: Recipe, paths: Paths, *, done: int) -> list[str]:
    rl = recipe.rl
    assert rl is not None
    # The file is what progress, store and reports read.
    loggers = ",".join(dict.fromkeys(("file", *recipe.loggers)))
    return [
        "reward.num_workers=1",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        "trainer.v1.trainer_mode=turnwise",
        f"trainer.v1.sampler.custom_sampler.path={HERE / 'buffer.py'}",
        "trainer.v1.sampler.custom_sampler.name=WatchfulBuffer",
        f"trainer.device={recipe.device}",
        f"trainer.n_gpus_per_node={recipe.gpus}",
        "trainer.nnodes=1",
        f"trainer.project_name={recipe.name}",
        "trainer.experiment_name=rl",
        f"trainer.logger=[{loggers}]",
        f"trainer.total_training_steps={rl.steps}",
        "trainer.total_epochs=1000000",
        f"trainer.val_before_train={not done}",
        f"trainer.test_freq={rl.eval_every or rl.steps}",
        f"trainer.save_freq={rl.save_every or rl.steps}",
        f"trainer.default_local_dir={paths.checkpoints}",
        f"trainer.resume_mode={'auto' if done else 'disable'}",
    ]


def _logical_devices() -> list[str]:
    """Ray counts these without having them: verl's bundles ask for more CPUs than a small machine has."""
    return [
        "ray_kwargs.ray_init.num_cpus=16",
        "+ray_kwargs.ray_init.num_gpus=1",
    ]
