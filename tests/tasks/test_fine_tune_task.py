from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from tiny import Trained

from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import open_run
from crossmodal.judgement import Judgement
from crossmodal.tasks import fine_tune
from crossmodal.tasks.fine_tune import FineTune

SHORT = {"lr": [1e-3], "head_lr": [1e-2], "steps": 8, "batch_size": 8, "validate_every": 4, "draws": 30}


@pytest.fixture(scope="module")
def embedded(trained: Trained) -> Embedded:
    return open_run(trained.folder)[1]


@pytest.fixture(scope="module")
def judgement(embedded: Embedded) -> Judgement:
    return FineTune(["register"], **SHORT, seeds=2).evaluate(embedded)


def test_figures_are_those_of_the_tables_of_all_seeds(judgement: Judgement, embedded: Embedded) -> None:
    truth = judgement.tables["register/truth"]
    labels = embedded.part("test").labels("register")
    assert truth.idxmax(axis=1).to_dict() == labels.to_dict()
    scores = [judgement.tables[name] for name in ("register/scores", "register/scores-1")]
    assert not scores[0].equals(scores[1])
    each = [balanced_accuracy_score(labels.loc[table.index], table.idxmax(axis=1)) for table in scores]
    figure = judgement.metrics["register/balanced_accuracy"]
    assert figure.value == pytest.approx(np.mean(each))
    assert figure.more["sd"] == pytest.approx(np.std(each, ddof=1))
    assert (figure.chance, figure.queries, figure.candidates, figure.more["seeds"]) == (0.5, 20, 2, 2)
    assert figure.low is not None
    assert figure.more["lr"] == [1e-3, 1e-3]
    assert set(figure.more["step"]) <= {4, 8}
    for table in scores:
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-6)


def test_independent_tags_have_probabilities_of_their_own(embedded: Embedded) -> None:
    found = FineTune(["rhythm"], **SHORT).evaluate(embedded)
    assert {name.removeprefix("rhythm/") for name in found.metrics} >= {"macro_roc_auc", "macro_average_precision"}
    assert found.primary == "macro_roc_auc"  # without it no figure would sum it up
    table = found.tables["rhythm/scores"]
    assert list(table.columns) == ["drums"]
    assert table["drums"].between(0, 1).all()


def test_what_is_true_of_the_test_part_changes_nothing_but_the_figures(
    judgement: Judgement, embedded: Embedded
) -> None:
    tags = embedded.manifest.tags
    test = tags["track_id"].isin(embedded.part("test").tracks["track_id"]) & (tags["tagset"] == "register")
    swapped = tags["tag"].map({"high": "low", "low": "high"})
    other = Embedded(
        embedded.model,
        replace(embedded.manifest, tags=tags.assign(tag=tags["tag"].mask(test, swapped))),
        embedded.split,
        embedded.store,
    )
    found = FineTune(["register"], **SHORT, seeds=2).evaluate(other)
    np.testing.assert_array_equal(found.tables["register/scores"], judgement.tables["register/scores"])
    before, after = (each.metrics["register/accuracy"].value for each in (judgement, found))
    assert after == pytest.approx(1 - before)


def test_on_valid_the_figures_say_that_choices_were_made_on_it(embedded: Embedded) -> None:
    found = FineTune(["register"], **{**SHORT, "steps": 1, "validate_every": 1}).evaluate(embedded, "valid")
    assert found.metrics["register/accuracy"].more["chosen_on"] == "valid"


def test_the_pair_of_rates_is_the_best_on_valid(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    marks: Iterator[float] = iter([0.2, 0.3, 0.9, 0.1, 0.9, 0.9, 0.4, 0.4])
    monkeypatch.setattr(fine_tune, "quality", lambda valid, scores: next(marks))
    task = FineTune(["register"], **{**SHORT, "lr": [1e-4, 1e-3], "head_lr": [1e-3, 1e-2]})
    more = task.evaluate(embedded).metrics["register/accuracy"].more
    assert (more["lr"], more["head_lr"], more["step"]) == (1e-4, 1e-2, 4)  # the first of equals
    assert next(marks, None) is None


def test_mistakes_are_told(embedded: Embedded) -> None:
    with pytest.raises(InputError, match="fine_tune: head_lr is empty"):
        FineTune(["register"], head_lr=[])
    with pytest.raises(InputError, match="fine_tune: measures has no f1"):
        FineTune(["register"], measures=["f1"])
    with pytest.raises(InputError, match="part train cannot be judged"):
        FineTune(["register"]).evaluate(embedded, "train")
    with pytest.raises(InputError, match="makam"):
        FineTune(["makam"]).evaluate(embedded)
