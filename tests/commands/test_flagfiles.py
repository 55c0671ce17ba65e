from conftest import ROOT

from biva_tf.commands import flagfiles

PROJECTS = str(ROOT / "configs" / "cifar10.flags")


def test_a_flagfile_of_the_project_is_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["train", "--flagfile=configs/cifar10.flags", "-flagfile", "configs/cifar10.flags"]
    assert flagfiles.found(given) == [
        *("train", f"--flagfile={PROJECTS}", "-flagfile", PROJECTS),
    ]


def test_a_file_of_the_working_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "cifar10.flags").write_text("--seed=1\n")
    given = ["train", "--flagfile=configs/cifar10.flags"]
    assert flagfiles.found(given) == given


def test_other_arguments_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [
        *("semi", "--flagfile=configs/none.flags", "--flagfile=mine/cifar10.flags"),
        *("--output_dir=configs/cifar10.flags", "configs/cifar10.flags"),
        *("--", "--flagfile=configs/cifar10.flags"),
    ]
    assert flagfiles.found(given) == given


def test_a_flagfile_of_the_project_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert flagfiles.found(["train", "--flagfile=cifar10"]) == ["train", f"--flagfile={PROJECTS}"]
    (tmp_path / "cifar10").write_text("--seed=1\n")
    assert flagfiles.found(["train", "--flagfile=cifar10"]) == ["train", "--flagfile=cifar10"]
