"""The training protocol (paper, section 4)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """The training protocol; each setting is explained in the configuration's ``training``."""

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    decay_epochs: int | None  # None if the schedule has no decays, as below
    decay_factor: float | None
    weight_decay: float
    initial_s_t: float
    initial_s_q: float
    shuffle_once: bool
    drop_last_batch: bool
    mixed_precision: bool
    seed: int
