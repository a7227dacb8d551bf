"""The critic's model: the policy's weights under a head that gives one value per token.

verl's own loader asks for flash attention whatever its configuration says, so no critic could start on a CPU, nor on a
GPU without that package; and it draws the head at random. There is no official point here: ours takes its place.
"""

from typing import Any

from verl.utils import model as verl_model

from turnwise.errors import TrainerError


def load_value_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
    """Load a policy's weights with a value head of zeros, under the attention that the configuration names.

    Raises:
        TrainerError: ``transformers`` has no model with a head per token for this architecture.
    """
    from transformers import AutoModelForTokenClassification

    try:
        model = AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation=model_config._attn_implementation,
            trust_remote_code=trust_remote_code,
        )
    except ValueError as error:
        raise TrainerError(f"no critic can be made of {local_path}: {error}") from error
    # A head of zeros says 0 everywhere: the first advantages are returns, and two runs begin alike.
    for name, parameter in model.named_parameters():
        if name.startswith(("score.", "classifier.")):
            parameter.data.zero_()
    return model


verl_model.load_valuehead_model = load_value_model
