"""Ballroom: dances, tempi and replicas."""

from __future__ import annotations

import math

import pytest
from layouts import ballroom as layout

from crossmodal.datasets.ballroom import REPLICAS, Ballroom


@pytest.fixture
def tracks(tmp_path):
    layout.write(tmp_path)
    return Ballroom(str(tmp_path)).read().tracks.set_index("track_id")


def test_three_folders_are_one_rumba(tmp_path):
    layout.write(tmp_path)
    found = Ballroom(str(tmp_path)).read()
    assert found.labels("genre").tolist() == ["ChaChaCha", "Samba", "Rumba", "Quickstep", "Quickstep", "Waltz", "Tango"]
    assert found.tracks["path"][2] == "BallroomData/Rumba-American/Albums-Cafe_Paradiso-05.wav"


def test_tempo_is_of_the_beats_else_of_the_bpm_file(tracks):
    tempi = tracks["tempo_bpm"].to_dict()
    assert tempi["Albums-Fire-08"] == 120.0  # steps of 0.5, 0.5 and 0.6 s; the .bpm file says 61
    assert tempi["Albums-Fire-09"] == 120.0
    assert tempi["Albums-Cafe_Paradiso-05"] == 104.0
    assert tempi["Media-104705"] == 87.5
    assert [track for track, tempo in tempi.items() if math.isnan(tempo)] == [
        *("Albums-AnaBelen_Veneo-11", "Albums-Chrisanne2-12", "Media-104112"),
    ]


def test_files_without_a_tempo_or_a_track_are_told(tmp_path):
    layout.write(tmp_path)
    found = Ballroom(str(tmp_path)).read()
    assert found.steps == (
        ("allBallroomFiles", 9, 7),
        (".bpm files joined to tracks", 4, 3),
        (".beats files joined to tracks", 5, 2),
    )
    reasons = {row.id: row.reason for row in found.skipped}
    assert reasons["Albums-Of_No_List-01"] == "no track of this name"
    assert reasons["Albums-Chrisanne2-12"] == "no tempo in it: could not convert string to float: 'half'"
    assert reasons["Albums-Cafe_Paradiso-05"] == "no tempo in it: no median for empty data"
    assert reasons["Media-104112"].startswith("no tempo in it")
    assert reasons["./README"] == "not as ./ChaChaCha/Albums-Fire-08.wav is"


@pytest.mark.parametrize(("text", "said"), [("1.0 1\n1.0 2\n", "division"), ("2 1\n1 2\n", "-60.0 beats a minute")])
def test_beats_that_do_not_go_on_are_no_tempo(tmp_path, text, said):
    layout.write(tmp_path)
    (tmp_path / "BallroomAnnotations" / "Albums-Fire-09.beats").write_text(text)
    found = Ballroom(str(tmp_path)).read()
    assert said in {row.id: row.reason for row in found.skipped}["Albums-Fire-09"]


def test_replicas_are_named_and_in_one_group(tracks):
    assert len(REPLICAS) == 13
    assert not set(REPLICAS) & set(REPLICAS.values())
    assert tracks["replica_of"].to_dict()["Albums-Chrisanne2-12"] == "Albums-AnaBelen_Veneo-11"
    groups = tracks["group"].to_dict()
    assert groups["Albums-Chrisanne2-12"] == groups["Albums-AnaBelen_Veneo-11"] == "AnaBelen Veneo"
    assert groups["Albums-Fire-08"] == groups["Albums-Fire-09"] == "Fire"
    assert groups["Media-104705"] == "Media-104705"  # the other of its pair is not in the list
    assert tracks["album"].to_dict()["Albums-Cafe_Paradiso-05"] == "Cafe Paradiso"
