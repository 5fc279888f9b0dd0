"""CLMR's linear evaluation, as its code has it."""

from __future__ import annotations

import torch
from torch import nn

from crossmodal.heads import Examples, Fitted, Head, Reading
from crossmodal.heads._training import Recipe, linear, network_logits, row_loss, trained
from crossmodal.settings import Amount, Count, Positive


class CLMR(Head):
    """A linear layer, or CLMR's MLP, trained on one random crop a track; chunks' probabilities averaged in the test.

    After Spijkervet and Burgoyne, "Contrastive Learning of Musical Representations" (ISMIR 2021), and their code
    (``linear_evaluation.py`` and ``clmr/modules/linear_evaluation.py`` of Spijkervet/CLMR): features as they are, not
    standardised; crops of train and valid drawn once; Adam; the learning rate falls to a tenth when the loss on valid
    has not fallen for more than 5 epochs, training ends when it has not for 10, with the last weights, not the best;
    in the test the mean over whole, non-overlapping chunks of sigmoids, or of softmaxes for exclusive tags, the last
    partial chunk dropped. Nothing is chosen and nothing fitted again.

    Two things differ: a track shorter than a chunk, for which their code fails, keeps its only one, padded; and crops
    and chunks are as long as the model's segments, which for CLMR's SampleCNN are its 59,049 samples.

    Args:
        mlp: whether there is a hidden layer as wide as the features, with ReLU; their ``finetuner_mlp``.
        batch_size: rows of a step. Their code trains at ``batch_size``, 48 unless told otherwise; its
            ``finetuner_batch_size``, 256, is that of embedding the crops.
        lr: learning rate, their ``finetuner_learning_rate``.
        weight_decay: added to the gradient.
        epochs: at most, their ``finetuner_max_epochs``.
    """

    reading = Reading(fit="crop", aggregate="probabilities", valid="train", whole=True)
    draws = True

    def __init__(
        self,
        mlp: bool = False,
        batch_size: Count = 48,
        lr: Positive = 1e-3,
        weight_decay: Amount = 1e-6,
        epochs: Count = 200,
    ) -> None:
        self.mlp = mlp
        self.recipe = Recipe(lr, weight_decay, batch_size, epochs, patience=10, plateau=5, restore=False)

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """The seed is that of the first weights and of the order of rows."""
        generator = torch.Generator().manual_seed(seed)
        dim, tags = train.features.shape[1], train.truth.shape[1]
        hidden = [linear(dim, dim, generator), nn.ReLU()] if self.mlp else []
        network = nn.Sequential(*hidden, linear(dim, tags, generator))

        def validate(network: nn.Module) -> float:
            return valid.log_loss(valid.scores(network_logits(network, valid.features)))

        found = trained(network, row_loss(train.exclusive), train, validate, self.recipe, generator)
        return Fitted(lambda features: network_logits(found.network, features), {"epochs": found.epochs})
