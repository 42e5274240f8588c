"""Whatever a verb is given, the user reads one line in plain words that names the thing; never Python's."""

import shutil
from pathlib import Path

import h5py
import pytest
import torch

from hifa_cli.config import ModelConfig
from hifa_cli.embeddings.extract import frozen_encoder
from hifa_cli.models.network import save_network
from tests.cli.test_cli import hifa
from tests.conftest import write_photos
from tests.gallery.test_update import write_mesh

PYTHON = (
    "Traceback", "invalid literal", "Errno", "NoneType", "could not convert", "codec can't", "Error:",
    "Exception", "object has no attribute", "<class '", "not subscriptable", "unexpected keyword", "Path(",
    "h5py", "expected str", "Input should", "Value error", "index out of", "broadcast", "NaN", "Expecting",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One thing of every kind that a verb reads, and of every kind that none does."""
    root = tmp_path_factory.mktemp("wrong")
    write_photos(root / "photos", each=1)
    write_mesh(root / "meshes" / "bars" / "a.off", 1.0)
    config = ModelConfig(backbone="test_resnet", embedding=8, size=32, resize=32)
    save_network(
        frozen_encoder(torch.device("cpu"), config, "none").network,
        root / "run",
        method="hifa",
        hifa_version="0",
    )
    (root / "empty").mkdir()
    (root / "text.txt").write_text("hello\n")
    (root / "latin.toml").write_bytes(b"[train]\nsteps = '\xe9'\n")
    (root / "broken.toml").write_text("[train\n")
    (root / "number.toml").write_text('[query]\ntop = "many"\n')
    (root / "broken.json").write_text('[{"path": ')
    (root / "latin.csv").write_bytes(b"path,class\n\xe9.jpg,chair\n")
    (root / "broken.jpg").write_bytes(b"no picture")
    (root / "broken.h5").write_bytes(b"no HDF5")
    (root / "broken.off").write_text("OFF\n4 x\n")
    (root / "ups.csv").write_bytes(b"\xff\xfe\x00")
    with h5py.File(root / "strange.h5", "w") as file:
        file["numbers"] = [1, 2]
    with h5py.File(root / "half.h5", "w") as file:
        file.attrs["schema"] = 1
        file.attrs["classes"] = ["chair"]
        file.create_group("shapes")
    shutil.copytree(root / "run", root / "spoilt")
    (root / "spoilt" / "model.safetensors").write_bytes(b"x")
    shutil.copytree(root / "run", root / "other")
    (root / "other" / "model.json").write_text("{")
    words = ("--views", "2", "--size", "32", "--workers", "1", "-q")
    assert hifa("render", root / "meshes", "--out", root / "views", *words)[0] == 0
    assert (
        hifa("index", root / "meshes", "--out", root / "g", "--model", root / "run", "--workers", "1", "-q")[
            0
        ]
        == 0
    )
    shutil.copytree(root / "g", root / "torn")
    (root / "torn" / "gallery.json").write_text('{"schema": 2')
    code, _, err = hifa(
        "export", "--model", root / "run", "--images", root / "photos", "--shapes", root / "views",
        "--out", root / "e.h5", "-q",
    )  # fmt: skip
    assert code == 0, err
    return root


LINES = """
render nowhere -o x :: nowhere
render empty -o x :: empty
render photos -o x :: photos
render g -o x :: g
render e.h5 -o x :: e.h5
render broken.off -o x :: broken.off
render meshes -o text.txt :: text.txt
render meshes -o x --views zero :: zero
render meshes -o x --up sideways :: sideways
render meshes -o x --up-list nowhere.csv :: nowhere.csv
render meshes -o x --up-list ups.csv :: ups.csv
render meshes -o x --contact-sheet sheet.doc :: sheet.doc
render ftp://a.example/c.obj -o x :: ftp://a.example/c.obj
train --images https://a.example/b --shapes views -o x :: https://a.example/b
evaluate https://a.example/b.h5 :: https://a.example/b.h5
render https://a.example/b.obj -o x :: https://a.example/b.obj
render meshes -o x --timeout soon :: soon
train --images nowhere --shapes views -o x :: nowhere
train --images empty --shapes views -o x :: empty
train --images meshes --shapes views -o x :: meshes
train --images views --shapes photos -o x :: views
train --images photos --shapes g -o x :: g
train --images photos --shapes views -o x --steps ten :: ten
train --images photos --shapes views -o x --rate fast :: fast
train --images photos --shapes views -o x --set momentum=high :: high
train --images photos --shapes views -o x --set momentum :: momentum
train --images photos --shapes views -o x --set momentom=1 :: did you mean momentum
train --images photos --shapes views -o x --method nope.nope:Nope :: nope.nope
train --images photos --shapes views -o x --backbone nope :: nope
train --images photos --shapes views -o x --weights nowhere.pt :: nowhere.pt
train --images photos --shapes views -o x --weights text.txt :: text.txt
train --images photos --shapes views -o x --split nope :: nope
train --images photos --shapes views -o x --config latin.toml :: latin.toml
train --images photos --shapes views -o x --config broken.toml :: broken.toml
train --images photos --shapes views -o x --config nowhere.toml :: nowhere.toml
train --images photos --shapes views -o x --device quantum :: quantum
train --images broken.json --shapes views -o x :: broken.json
train --images latin.csv --shapes views -o x :: latin.csv
export -o x.h5 :: --images
export --images nowhere -o x.h5 :: nowhere
export --images photos -o x.txt :: x.txt
export --images photos -o x.h5 --model empty :: empty
export --images photos -o x.h5 --model g :: g
export --images photos -o x.h5 --model spoilt :: spoilt
export --images photos -o x.h5 --model other :: other
export --images photos -o x.h5 --backbone nope :: nope
export --shapes meshes -o x.h5 :: meshes
export --images photos -o e.h5 :: e.h5
adapt nowhere.h5 --fit e.h5 -o x.h5 :: nowhere.h5
adapt e.h5 --fit broken.h5 -o x.h5 :: broken.h5
adapt strange.h5 --fit e.h5 -o x.h5 :: strange.h5
adapt e.h5 --fit e.h5 -o x.txt :: x.txt
adapt e.h5 --fitted text.txt -o x.h5 :: text.txt
adapt e.h5 --fitted nowhere -o x.h5 :: nowhere
adapt e.h5 --fit e.h5 -o x.h5 --set rho=high :: high
adapt photos --fit e.h5 -o x.h5 :: photos
index nowhere -o x :: nowhere
index empty -o x :: empty
index g -o x :: g
index run -o x :: run
index text.txt -o x :: text.txt
index broken.h5 -o x :: broken.h5
index strange.h5 -o x :: strange.h5
index half.h5 -o x :: half.h5
index broken.off -o x :: broken.off
index meshes -o photos :: photos
index meshes -o text.txt :: text.txt
index meshes -o x --factory NOPE :: NOPE
index meshes -o x --model photos :: photos
index meshes -o x --model spoilt :: spoilt
index meshes -o x --recall most :: most
index --stats nowhere :: nowhere
index --stats photos :: photos
index --stats torn :: torn
index --verify empty :: empty
index --update meshes :: meshes
index --add nowhere -o g :: nowhere
index --remove nope -o g :: nope
index --relocate meshes -o g :: meshes
index --relocate nowhere=meshes -o g :: nowhere
index meshes meshes -o x :: meshes
index https://a.example/b.obj -o x :: https://a.example/b.obj
query nowhere.jpg -g g :: nowhere.jpg
query photos/bars/0.png -g nowhere :: nowhere
query photos/bars/0.png -g photos :: photos
query photos/bars/0.png -g e.h5 :: e.h5
query photos/bars/0.png -g torn :: torn
query g -g photos/bars/0.png :: photos/bars/0.png
query broken.jpg -g g :: broken.jpg
query text.txt -g g :: text.txt
query empty -g g :: empty
query run -g g :: run
query @nowhere.csv -g g :: nowhere.csv
query @broken.json -g g :: broken.json
query @latin.csv -g g :: latin.csv
query nothing-*.jpg -g g :: nothing-*.jpg
query https://a.example/b.jpg -g g :: https://a.example/b.jpg
query photos/bars/0.png -g g --top none :: none
query photos/bars/0.png -g g --threshold high :: high
query photos/bars/0.png -g g --crop here :: here
query photos/bars/0.png -g g --crop 1,2,3 :: 1,2,3
query photos/bars/0.png -g g --crop 9000,9000,5,5 :: 9000
query photos/bars/0.png -g g --class nope :: nope
query photos/bars/0.png -g g --find nope :: nope
query photos/bars/0.png -g g --sheet a.doc :: a.doc
query photos/bars/0.png -g g --html a.png :: a.png
query photos/bars/0.png -g g --like nope :: nope
query photos/bars/0.png -g g --model empty :: empty
query photos/bars/0.png -g g --config number.toml :: many
serve nowhere :: nowhere
serve photos :: photos
serve torn :: torn
serve g --port high :: high
serve g --host nowhere.invalid :: nowhere.invalid
serve g -g g :: -g
evaluate nowhere.h5 :: nowhere.h5
evaluate broken.h5 :: broken.h5
evaluate strange.h5 :: strange.h5
evaluate photos :: photos
evaluate g :: g
evaluate e.h5 --metrics roc :: roc
evaluate e.h5 --format roc :: roc
evaluate e.h5 --against broken.h5 :: broken.h5
evaluate e.h5 --out a.csv --format latex :: a.csv
evaluate e.h5 --unlabelled-classes nope :: nope
compare --images photos --shapes views -o x --seeds many :: many
compare --images photos --shapes views -o x --methods nope :: nope
compare --images photos --shapes views -o x --methods hifa( :: hifa(
compare --images photos --shapes views -o x --methods hifa(radius=far) :: far
compare --images nowhere --shapes views -o x :: nowhere
compare --images photos --shapes views -o x :: photos
compare --images photos --shapes views -o x --reference nope :: nope
compare --images photos --shapes views -o x --latex a.doc :: a.doc
plot nowhere.h5 -o x.png :: nowhere.h5
plot broken.h5 -o x.png :: broken.h5
plot e.h5 -o x.doc :: x.doc
plot e.h5 -o x.png --kind roc :: roc
plot e.h5 -o x.png --points few :: few
data check nowhere :: nowhere
data check photos --as thing :: thing
data check text.txt :: text.txt
data modelnet nowhere -o x :: nowhere
data modelnet photos -o x :: photos
demo --out text.txt --small :: text.txt
demo --seed one :: one
demo --out photos --small :: photos
help nope :: nope
nope :: nope
--config nowhere.toml doctor :: nowhere.toml
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_wrong_input_is_one_plain_line_that_names_the_thing(
    line: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thing in place.iterdir():
        (tmp_path / thing.name).symlink_to(thing)
    monkeypatch.chdir(tmp_path)
    words, named = line.split(" :: ")
    code, out, err = hifa(*words.split())
    assert code in (1, 2), (out, err)
    errors = [one for one in err.splitlines() if one.startswith("error:")]
    assert errors == err.splitlines()[-1:], err
    assert named in errors[0]
    assert [word for word in PYTHON if word in err] == []
    assert len(errors[0]) < 400
