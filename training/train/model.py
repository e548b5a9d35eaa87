"""The model to train, and TRL's trainer around it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel, PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from training.train.dataset import PaddedBatches
from training.train.packing import columns, pack
from training.train.pairs import Pair
from training.train.recipe import AdapterSettings, TrainingRecipe
from training.train.rows import Row


class RecipeError(ValueError):
    """This machine can't do what the recipe wants."""


def load_model(base: Path, recipe: TrainingRecipe) -> PreTrainedModel:
    """In F32 on a CPU, as the proof of the export computes; in bfloat16 on a GPU. Raises: RecipeError."""
    quantization = _quantization() if recipe.is_quantized else None
    dtype = torch.bfloat16 if torch.cuda.is_available() and recipe.adapter else torch.float32
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, quantization_config=quantization)
    _check_targets(model, recipe.adapter.targets if recipe.adapter else ())
    return model


def _check_targets(model: torch.nn.Module, targets: Sequence[str]) -> None:
    """PEFT passes over a name that is not there, as long as another is. Raises: RecipeError."""
    names = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            there = sorted({name.rsplit(".", 1)[-1] for name in names})
            raise RecipeError(f"target_modules: this model has no {target!r}; it has {', '.join(there)}")


def lora_config(settings: AdapterSettings) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.is_rank_stabilized,
        target_modules=list(settings.targets) or "all-linear",
        bias="none",
    )


def supervised_trainer(
    model: PreTrainedModel, tokenizer: Any, rows: tuple[Row, ...], recipe: TrainingRecipe, callback: TrainerCallback
) -> SFTTrainer:
    """Rows are rendered and masked already: TRL neither prepares nor cuts them."""
    bins = pack(rows, recipe.longest) if recipe.packs else [(row,) for row in rows]
    examples = [{**columns(packed), "length": sum(len(row.ids) for row in packed)} for packed in bins]
    data = Dataset.from_list(examples)
    if not recipe.packs:
        data = data.remove_columns("position_ids")
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **common_arguments(recipe, model.config.hidden_size),
            train_sampling_strategy="group_by_length",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        data_collator=PaddedBatches(tokenizer.pad_token_id),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora_config(recipe.adapter) if recipe.adapter else None,
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


class _PairsTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's, on pairs that are in tokens already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def preference_trainer(
    model: PreTrainedModel, tokenizer: Any, pairs: tuple[Pair, ...], recipe: TrainingRecipe, callback: TrainerCallback
) -> DPOTrainer:
    """Against the model as it was, which is the base without the adapter."""
    data = Dataset.from_dict(
        {
            "prompt_ids": [list(pair.prompt) for pair in pairs],
            "chosen_ids": [list(pair.good) for pair in pairs],
            "rejected_ids": [list(pair.bad) for pair in pairs],
        }
    )
    trainer = _PairsTrainer(
        model=model,
        args=DPOConfig(**common_arguments(recipe, model.config.hidden_size), max_length=None, beta=recipe.beta),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora_config(recipe.adapter) if recipe.adapter else None,
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def planned_steps(rows: Sequence[Row], recipe: TrainingRecipe) -> int:
    """Optimizer steps of the whole run, on one device."""
    count = len(pack(rows, recipe.longest)) if recipe.packs else len(rows)
    batches = math.ceil(count / recipe.batch_size)
    return recipe.max_steps or math.ceil(recipe.epochs * math.ceil(batches / recipe.accumulation))


def common_arguments(recipe: TrainingRecipe, width: int) -> dict[str, Any]:
    """What TRL's methods have in common."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(recipe.output / "checkpoints"),
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "learning_rate": recipe.peak_learning_rate(width),
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "seed": recipe.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # which writes 0 where there is no number
        "save_strategy": "steps",
        "save_steps": recipe.checkpoint_every,
        "save_total_limit": 2,
        "use_cpu": not on_gpu,
        "bf16": computes_in_bfloat16(recipe),
        "activation_checkpointing": False,
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
    }


def computes_in_bfloat16(recipe: TrainingRecipe) -> bool:
    """Weights that are trained stay F32 all the same."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    return torch.cuda.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def _quantization() -> BitsAndBytesConfig:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise RecipeError("a base in 4 bits needs bitsandbytes: pip install bitsandbytes") from error
    if not torch.cuda.is_available():
        raise RecipeError("a base in 4 bits needs a GPU")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
