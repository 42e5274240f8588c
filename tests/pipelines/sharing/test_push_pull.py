"""What was pushed is what is pulled: tried against a stand-in of the Hub, which is not the Hub."""

import json
import zipfile
from pathlib import Path

import pytest

import hifa_cli as hifa
from hifa_cli.errors import HifaError
from hifa_cli.gallery import read_gallery, update
from hifa_cli.pipelines.sharing.contents import CARD_FILE, HUB_FILE, PACK_FILE, is_ours, sha256
from hifa_cli.pipelines.sharing.hub import Hub
from hifa_cli.pipelines.sharing.pull import pull
from hifa_cli.pipelines.sharing.push import push
from hifa_cli.runtime.lock import sole_writer
from tests.gallery.test_growth import GROWS, build, table, write_shapes
from tests.pipelines.sharing.stand_in import READER, StandIn

NAME = "ada/chairs"


def listed(hub: StandIn) -> dict[str, dict[str, object]]:
    files: dict[str, dict[str, object]] = json.loads(hub.repos[NAME].files[HUB_FILE])["files"]
    return files


def test_a_run_comes_back_file_by_file(hub: StandIn, run: Path, tmp_path: Path) -> None:
    sent = push(run, NAME)
    got = pull(NAME, tmp_path / "back")
    assert (sent.kind, got.kind, got.commit) == ("run", "run", sent.commit)
    there = {path.name for path in (tmp_path / "back").iterdir()}
    assert there == set(listed(hub)) <= {path.name for path in run.iterdir()}
    same = {name for name in there if (run / name).read_bytes() == (tmp_path / "back" / name).read_bytes()}
    assert "model.safetensors" in same
    assert there - same <= {"run.json"}


def test_a_pulled_gallery_answers_as_the_pushed_one(hub: StandIn, gallery: Path, tmp_path: Path) -> None:
    photo = next((gallery / "views").rglob("round/ball/02.png"))
    before = [(hit.shape_id, hit.score) for hit in hifa.open_gallery(gallery).query(photo)]
    push(gallery, NAME)
    pull(NAME, tmp_path / "back")
    opened = hifa.open_gallery(tmp_path / "back")
    hits = opened.query(photo)
    assert [(hit.shape_id, hit.score) for hit in hits] == before
    assert all(hit.thumbnail is not None and hit.thumbnail.is_file() for hit in hits)
    assert not (tmp_path / "back" / PACK_FILE).exists()


def test_neither_photos_nor_meshes_nor_paths_of_this_machine_are_sent(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    push(gallery, NAME)
    everything = hub.repos[NAME].files
    assert not any(str(tmp_path).encode() in data for data in everything.values())
    assert not any(name.endswith((".off", ".html")) or name.startswith("views/") for name in everything)


def test_a_run_with_weights_of_a_file_names_the_file_alone(hub: StandIn, run: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    about["train"]["weights"] = "/home/ada/secret/resnet.safetensors"
    (run / "run.json").write_text(json.dumps(about))
    push(run, NAME)
    assert json.loads(hub.repos[NAME].files["run.json"])["train"]["weights"] == "resnet.safetensors"


def test_sources_of_a_pulled_gallery_lie_below_it_whatever_it_says(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    """A stranger's gallery cannot have files of this machine shown."""
    push(gallery, NAME)
    about = json.loads(hub.repos[NAME].files["gallery.json"])
    about["origins"][0] |= {"path": "/etc", "root": "/etc", "relative": "../../../../../../etc"}
    replaced(hub, "gallery.json", json.dumps(about).encode())
    pull(NAME, tmp_path / "back")
    for origin in json.loads((tmp_path / "back" / "gallery.json").read_text())["origins"]:
        assert Path(origin["path"]).is_relative_to(tmp_path / "back")
        assert Path(origin["root"]).is_relative_to(tmp_path / "back")
        assert ".." not in origin["relative"]


def test_a_gallery_whose_shapes_lead_out_of_it_or_to_a_database_is_refused(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    push(gallery, NAME)
    good = dict(hub.repos[NAME].files)
    name = next(one for one in good if one.endswith("/paths.txt"))
    replaced(hub, name, good[name].replace(b"box/cube", b"../../up"))
    with pytest.raises(HifaError, match=r"the path '\.\./\.\./up\.off' of a shape leads out of it"):
        pull(NAME, tmp_path / "back")
    hub.repos[NAME].commit(good)
    about = {**json.loads(good["gallery.json"]), "schema": 4}
    about["store"] = {"address": "qdrant://198.51.100.7", "shelf": "hifa-a-1-b", "relative": ""}
    replaced(hub, "gallery.json", json.dumps(about).encode())
    with pytest.raises(HifaError, match="its vectors live in a database elsewhere"):
        pull(NAME, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_gallery_that_was_appended_to_comes_back_whole(hub: StandIn, tmp_path: Path) -> None:
    """Its columns lie in one generation and what changed in another one; it has no model."""
    grown = tmp_path / "grown"
    build(write_shapes(tmp_path / "e.h5", range(100)), grown)
    update.remove(grown, ["box/4 ü", "rod/97*"], GROWS)
    push(grown, NAME)
    pull(NAME, tmp_path / "back")
    assert {name.split("/")[0] for name in listed(hub)} == {"gallery.json", "generation-1", "generation-2"}
    back, before = table(read_gallery(tmp_path / "back")), table(read_gallery(grown))
    assert {name: row[:3] for name, row in back.items()} == {name: row[:3] for name, row in before.items()}


def test_meshes_that_are_put_where_the_gallery_says_are_found(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    push(gallery, NAME)
    pull(NAME, tmp_path / "back")
    (tmp_path / "back" / "sources" / "0").mkdir(parents=True)
    (gallery.parent / "meshes").rename(tmp_path / "back" / "sources" / "0" / "meshes")
    opened = hifa.open_gallery(tmp_path / "back")
    assert all(path is not None and path.is_file() for path in map(opened.stored.source, range(len(opened))))


def test_the_card_says_what_it_is_how_to_use_it_and_under_which_licence(
    hub: StandIn, run: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.json"
    row = {"export": "all|<b>.h5", "NN": 0.8125, "FT": 0.5}
    scores.write_text(json.dumps({**row, "exports": [row]}))
    push(run, NAME, scores=scores, licence="mit")
    card = hub.repos[NAME].files[CARD_FILE].decode()
    assert card.startswith("---\n")
    assert "license: mit" in card
    assert "library_name: hifa" in card
    assert f"hifa pull {NAME} --out run" in card
    assert "| method | source-only |" in card
    assert r"all\|\<b\>.h5 | 0.812 | 0.500 |" in card
    assert "bars, blobs, rings" in card


def test_a_card_that_was_edited_on_the_hub_stays(hub: StandIn, run: Path) -> None:
    push(run, NAME)
    replaced(hub, CARD_FILE, b"# My own words\n", listing=False)
    push(run, NAME, licence="mit")
    assert hub.repos[NAME].files[CARD_FILE] == b"# My own words\n"


def test_pushing_again_sends_what_changed_and_removes_what_is_gone(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    push(gallery, NAME)
    (gallery.parent / "meshes" / "box" / "cube.off").unlink()
    hifa.build_gallery(gallery.parent / "meshes", gallery, workers=1, device="cpu", keep_views=True)
    uploads = len([one for one in hub.asked if one[0] == "PUT"])
    push(gallery, NAME)
    names = set(hub.repos[NAME].files)
    assert not any(name.startswith("generation-1/") for name in names)
    assert set(listed(hub)) | {HUB_FILE, CARD_FILE, ".gitattributes"} == names
    later = [one for one in hub.asked if one[0] == "PUT"][uploads:]
    weights = sha256(next(gallery.glob("models/*/model.safetensors")))
    assert not any(weights in path for _, path, _ in later), "the encoder is there already"
    pull(NAME, tmp_path / "back")
    assert len(hifa.open_gallery(tmp_path / "back")) == 2


def replaced(hub: StandIn, name: str, data: bytes, *, listing: bool = True) -> None:
    """Somebody who may write commits another content, and lists it."""
    import hashlib

    files = dict(hub.repos[NAME].files)
    files[name] = data
    if listing:
        document = json.loads(files[HUB_FILE])
        document["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        files[HUB_FILE] = json.dumps(document).encode()
    hub.repos[NAME].commit(files)


def test_a_file_that_is_not_what_was_pushed_is_refused_and_fetched_anew(
    hub: StandIn, run: Path, tmp_path: Path
) -> None:
    push(run, NAME)
    good = hub.repos[NAME].files["model.safetensors"]
    hub.repos[NAME].files["model.safetensors"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(HifaError, match=r"model\.safetensors of ada/chairs is not what was pushed"):
        pull(NAME, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    hub.repos[NAME].files["model.safetensors"] = good
    pull(NAME, tmp_path / "back")


def test_weights_that_the_model_does_not_name_are_refused(hub: StandIn, run: Path, tmp_path: Path) -> None:
    push(run, NAME)
    about = json.loads(hub.repos[NAME].files["model.json"])
    replaced(hub, "model.json", json.dumps({**about, "digest": "0" * 64}).encode())
    with pytest.raises(HifaError, match="cannot be used: the weights are not those"):
        pull(NAME, tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir() if "back" in path.name] == []


def test_a_listing_that_names_another_file_is_refused_before_any_is_fetched(
    hub: StandIn, run: Path, tmp_path: Path
) -> None:
    push(run, NAME)
    replaced(hub, "../../evil.py", b"print('run')")
    hub.asked.clear()
    with pytest.raises(HifaError, match="which no run has: nothing was fetched"):
        pull(NAME, tmp_path / "back")
    assert {path.rsplit("/", 1)[-1] for _, path, _ in hub.asked if "resolve" in path} == {HUB_FILE}
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "name",
    ["../../evil.py", "hifa_cli/__init__.py", "/etc/passwd", "generation-1/../../x.npy", "weights.pkl",
     "generation-1/sitecustomize.py", "models/0/run.sh", ".cache/x", "generation-1/..npy", "gallery.json\n",
     "models/0/../model.json", "hifa.json", "README.md", "conftest.py", "generation-1\\a.npy"],
)  # fmt: skip
def test_no_other_file_is_one_of_a_run_or_a_gallery(name: str) -> None:
    assert not is_ours("run", name)
    assert not is_ours("gallery", name)


def test_a_pack_of_thumbnails_with_other_names_is_refused(
    hub: StandIn, gallery: Path, tmp_path: Path
) -> None:
    push(gallery, NAME)
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w") as archive:
        archive.writestr("../../evil.png", b"x")
    replaced(hub, PACK_FILE, pack.read_bytes())
    with pytest.raises(HifaError, match="holds more than thumbnails"):
        pull(NAME, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def fetched(hub: StandIn, name: str) -> list[str]:
    """Which parts of a file were asked for."""
    return [part for verb, path, part in hub.asked if verb == "GET" and path.endswith(f"/{name}")]


def test_a_pull_that_failed_goes_on_with_the_files_that_lack(hub: StandIn, run: Path, tmp_path: Path) -> None:
    push(run, NAME)
    data = hub.repos[NAME].files["model.safetensors"]
    del hub.repos[NAME].files["model.safetensors"]
    with pytest.raises(HifaError, match=r"lacks model\.safetensors: whoever made it must push it again"):
        pull(NAME, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    hub.repos[NAME].files["model.safetensors"] = data
    assert fetched(hub, "model.json"), "it comes before the weights"
    hub.asked.clear()
    pull(NAME, tmp_path / "back")
    assert fetched(hub, "model.json") == []
    assert fetched(hub, "model.safetensors") == [""]
    assert sorted(path.name for path in tmp_path.iterdir() if "back" in path.name) == ["back"]


def test_a_connection_that_breaks_is_taken_up_in_the_middle_of_a_file(
    hub: StandIn, run: Path, tmp_path: Path
) -> None:
    push(run, NAME)
    hub.cut = len(hub.repos[NAME].files["model.safetensors"]) // 3
    pull(NAME, tmp_path / "back")
    parts = fetched(hub, "model.safetensors")
    assert len(parts) > 2
    assert all(part.startswith("bytes=") and not part.startswith("bytes=0-") for part in parts[1:])
    assert (tmp_path / "back" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_a_hub_that_sends_nothing_leaves_nothing(hub: StandIn, run: Path, tmp_path: Path) -> None:
    push(run, NAME)
    hub.cut = 0
    with pytest.raises(HifaError, match="cannot reach"):
        pull(NAME, tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir() if "back" in path.name] == []


def test_a_push_that_failed_changes_nothing_and_is_sent_by_the_next(hub: StandIn, run: Path) -> None:
    push(run, NAME)
    (run / "log.jsonl").write_text('{"step": 0}\n')
    other = (run / "graph.onnx").read_bytes() + b"\0"
    (run / "graph.onnx").write_bytes(other)
    commits = list(hub.repos[NAME].commits)
    hub.fails = "/commit/main"
    with pytest.raises(HifaError, match="refused ada/chairs: status 500"):
        push(run, NAME)
    assert hub.repos[NAME].commits == commits
    hub.fails, hub.asked = "", []
    push(run, NAME)
    assert hub.repos[NAME].files["graph.onnx"] == other
    assert [verb for verb, _, _ in hub.asked if verb == "PUT"] == [], "large files were sent before"


def test_another_push_in_between_is_not_undone(
    hub: StandIn, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(run, NAME)
    names = Hub.names

    def meanwhile(self: Hub, commit: str) -> list[str]:
        hub.repos[NAME].commit({**hub.repos[NAME].files, "log.jsonl": b"theirs"})
        return names(self, commit)

    monkeypatch.setattr(Hub, "names", meanwhile)
    with pytest.raises(HifaError, match="was changed meanwhile: give the same command again"):
        push(run, NAME, licence="mit")
    assert hub.repos[NAME].files["log.jsonl"] == b"theirs"


def test_what_is_there_is_not_replaced_unasked(
    hub: StandIn, run: Path, gallery: Path, tmp_path: Path
) -> None:
    push(run, NAME)
    out = tmp_path / "back"
    pull(NAME, out)
    with pytest.raises(HifaError, match="give --force to replace it"):
        pull(NAME, out)
    (out / "log.jsonl").unlink()
    pull(NAME, out, force=True)
    assert (out / "log.jsonl").is_file()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(HifaError, match="holds something else"):
        pull(NAME, mine, force=True)
    assert (mine / "thesis.txt").is_file()


def test_a_gallery_is_held_against_writers_where_it_can_be(
    hub: StandIn, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sole_writer(gallery), pytest.raises(HifaError, match=r"another hifa .* is changing the gallery"):
        push(gallery, NAME)
    (gallery / ".lock").unlink()
    monkeypatch.setattr("hifa_cli.pipelines.sharing.push.os.access", lambda path, mode: False)
    push(gallery, NAME)
    assert not (gallery / ".lock").exists(), "a read-only gallery is sent as well"


def test_private_is_private_or_refused(hub: StandIn, run: Path) -> None:
    push(run, "ada/secret", private=True)
    assert hub.repos["ada/secret"].private
    push(run, NAME)
    commits = len(hub.repos[NAME].commits)
    with pytest.raises(HifaError, match="exists and is public"):
        push(run, NAME, private=True)
    assert len(hub.repos[NAME].commits) == commits


def test_a_repository_of_something_else_is_left_alone(hub: StandIn, run: Path, gallery: Path) -> None:
    push(run, NAME)
    with pytest.raises(HifaError, match="holds a run, and this is a gallery"):
        push(gallery, NAME)
    files = {"README.md": b"# BERT\n", "pytorch_model.bin": b"x"}
    hub.repos[NAME].commit(files)
    with pytest.raises(HifaError, match=r"holds something else \(pytorch_model\.bin\)"):
        push(run, NAME)
    assert hub.repos[NAME].files == files
    with pytest.raises(HifaError, match=r"holds no run or gallery of hifa: it has no hifa\.json"):
        pull(NAME, gallery.parent / "back")


def test_each_refusal_is_one_line(
    hub: StandIn, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(run, NAME)
    out = tmp_path / "back"

    def said(text: str, repo: str = NAME, revision: str | None = None) -> None:
        with pytest.raises(HifaError, match=text) as caught:
            pull(repo, out, revision=revision)
        assert "\n" not in str(caught.value)
        assert not out.exists()
        assert not list(tmp_path.glob(".back*"))

    said("has no ada/lamps, or you may not see it", "ada/lamps")
    said("has no revision 'v9'", revision="v9")
    for name in ("chairs", "a/b/c", "/chairs", "ada/", "a da/ch", "-x/..", "https://x.org/ada/chairs"):
        said("is not the name of a repository: write USER/NAME", name)
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(HifaError, match="you may not write to ada/chairs"):
        push(run, NAME)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nobody"))
    with pytest.raises(HifaError, match=r"does not know you|asks who you are"):
        push(run, NAME)
    hub.broken = True
    said("answers what no hub answers|cannot reach")
    hub.broken = False
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said(r"cannot reach http://127\.0\.0\.1:9")


def test_only_what_is_whole_is_pushed(hub: StandIn, run: Path, gallery: Path, tmp_path: Path) -> None:
    (run / "run.json").write_text(
        json.dumps({**json.loads((run / "run.json").read_text()), "finished": None})
    )
    with pytest.raises(HifaError, match="is not finished"):
        push(run, NAME)
    next(gallery.glob("generation-*/vectors.f32")).unlink()
    with pytest.raises(HifaError, match="damaged"):
        push(gallery, NAME)
    for place, text in (
        (tmp_path / "nothing", "is not a folder"),
        (tmp_path, "holds nothing that hifa wrote"),
    ):
        with pytest.raises(HifaError, match=text):
            push(place, NAME)
    scores = tmp_path / "scores.json"
    scores.write_text("[]")
    with pytest.raises(HifaError, match="holds no scores"):
        push(run, NAME, scores=scores)
    assert hub.repos == {}


def test_from_pretrained_fetches_once(
    hub: StandIn, gallery: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = push(gallery, NAME).commit
    push(run, "ada/run")
    photo = next((gallery / "views").rglob("round/ball/02.png"))
    assert hifa.Gallery.from_pretrained(NAME).query(photo)[0].shape_id == "round/ball"
    got = hifa.Run.from_pretrained("ada/run")
    assert (got.method, got.steps) == ("source-only", 1)
    assert got.digest == json.loads((run / "model.json").read_text())["digest"]
    with pytest.raises(HifaError, match="holds a run, not a gallery"):
        hifa.Gallery.from_pretrained("ada/run")
    with pytest.raises(HifaError, match="holds a gallery, not a run"):
        hifa.Run.from_pretrained(NAME)
    assert hifa.Run.from_pretrained(run).path == run, "a folder of this machine is opened as it is"
    hub.asked.clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert len(hifa.Gallery.from_pretrained(NAME, revision=commit)) == 3
    assert hub.asked == []
