"""Weights are read as torch reads them, and a file that holds more than tensors is refused unopened."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hifa_cli.errors import HifaError
from hifa_cli.models.lite import blocks, packaged_weights, timm_names
from hifa_cli.models.tensor_file import read_tensors


def same(path: Path) -> None:
    wanted = torch.load(path, weights_only=True)
    wanted = wanted.get("state_dict", wanted)
    found = read_tensors(path)
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_the_packaged_weights_are_read_as_torch_reads_them() -> None:
    same(packaged_weights())


@pytest.mark.parametrize("zipped", [True, False])
def test_both_forms_of_file_are_read(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "a": base, "turned": base.t(), "part": base[1:3, ::2], "whole": torch.tensor(7),
        "none": torch.zeros(0, 3), "half": base.half(), "flags": base > 3, "byte": base.to(torch.uint8),
        "p": torch.nn.Parameter(base.clone()),
    }  # fmt: skip
    torch.save({"state_dict": state}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "w.pth")
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())


class Evil:
    """Runs a command where a pickle is trusted."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.zeros(2), "b": Evil()}, "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(HifaError, match=r"asks for \w+\.system"):
        read_tensors(Path("w.pth"))
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(HifaError):
        read_tensors(tmp_path / "bare.pth")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_one_line(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(300)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for end in (0, 1, 10, 100, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:end])
        with pytest.raises(HifaError) as caught:
            read_tensors(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(HifaError, match="cannot read"):
        read_tensors(tmp_path / "none.pth")


def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(tmp_path / "short.pth", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-4] if "/data/" in name else content)
    with pytest.raises(HifaError, match="shorter"):
        read_tensors(tmp_path / "short.pth")


def test_the_names_are_timms() -> None:
    timm = pytest.importorskip("timm")
    net = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    assert list(timm_names(read_tensors(packaged_weights())).values()) == list(net.state_dict())
    for variant in ("lite0", "lite2", "lite4"):
        stages = [len(stage) for stage in timm.create_model(f"tf_efficientnet_{variant}").blocks]
        found = list(blocks(variant))
        assert [sum(block.stage == at for block in found) for at in range(7)] == stages
