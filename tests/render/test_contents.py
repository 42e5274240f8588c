"""A file is what its first bytes say; what nothing can be seen of is not drawn."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from hifa_cli.config import RenderConfig
from hifa_cli.errors import HifaError
from hifa_cli.render.job import DrawShape
from hifa_cli.render.meshes import read_mesh
from hifa_cli.render.views import up_axis
from tests.render.shapes import box, obj_text, off_text, stl_bytes, stl_text
from tests.render.writers import Ply, dae_text, model_xml, object_xml, package


def exported(kind: str) -> bytes:
    scene: Any = trimesh.Scene(trimesh.Trimesh(box().vertices, box().faces, process=False))
    content: bytes = scene.export(file_type=kind)
    return content


def embedded_gltf() -> bytes:
    import base64

    parts: Any = trimesh.Trimesh(box().vertices, box().faces, process=False).export(file_type="gltf")
    document = json.loads(parts["model.gltf"])
    for buffer in document["buffers"]:
        content = base64.b64encode(parts[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{content}"
    return json.dumps(document).encode()


CONTENTS = {
    "off": off_text(box()).encode(),
    "obj": obj_text(box()).encode(),
    "stl": stl_bytes(box()),
    "stl text": stl_text(box()).encode(),
    "ply": Ply("binary_little_endian").bytes_of(box().vertices, box().faces.tolist()),
    "dae": dae_text(box()).encode(),
    "3mf": package({"3D/3dmodel.model": model_xml(object_xml(box()))}),
    "glb": exported("glb"),
}
ENDINGS = ("off", "obj", "stl", "ply", "dae", "3mf", "glb", "gltf")


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_wrong_ending_is_no_matter(tmp_path: Path, kind: str, ending: str) -> None:
    (path := tmp_path / f"a.{ending}").write_bytes(CONTENTS[kind])
    assert len(read_mesh(path).faces) == 12
    assert up_axis(path, RenderConfig()) == ("y" if kind in ("glb", "dae") else "z")


def test_gltf_under_another_name_is_read(tmp_path: Path) -> None:
    for name in ("a.glb", "a.obj"):
        (tmp_path / name).write_bytes(embedded_gltf())
        assert len(read_mesh(tmp_path / name).faces) == 12


def tarred(form: int) -> bytes:
    """A tar archive of an OBJ, whose text a reader of OBJ would find in it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        about = tarfile.TarInfo("a.obj")
        about.size = len(CONTENTS["obj"])
        archive.addfile(about, io.BytesIO(CONTENTS["obj"]))
    return file.getvalue()


def old_tar() -> bytes:
    """A tar archive of before 1988: nothing but a sum tells that it is one."""
    content = bytearray(tarred(tarfile.USTAR_FORMAT))
    content[257:512] = bytes(255)
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    return bytes(content)


POINTER = "version https://git-lfs.github.com/spec/v1\r\noid sha256:00\r\nsize 1\r\n"
STRANGERS = {
    "tar of USTAR": (tarred(tarfile.USTAR_FORMAT), "is packed by tar"),
    "tar of GNU": (tarred(tarfile.GNU_FORMAT), "is packed by tar"),
    "tar of PAX": (tarred(tarfile.PAX_FORMAT), "is packed by tar"),
    "an old tar": (old_tar(), "is packed by tar"),
    "a packed tar": (gzip.compress(tarred(tarfile.GNU_FORMAT)), "packed by tar"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(90), "is packed by LZ4"),
    "a pointer with a mark": (POINTER.encode("utf-8-sig"), "git lfs pull"),
    "a pointer in UTF-16": (POINTER.encode("utf-16"), "git lfs pull"),
    "a pointer of before": (POINTER.replace("git-lfs.github", "hawser.github").encode(), "git lfs pull"),
    "a page in UTF-16": ("<!DOCTYPE html>\n<html>".encode("utf-16"), "is an HTML page"),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C">\n<html/>', "is an HTML page"),
    "half a page": (b"<title>Sign in</title>", "is an HTML page"),
    "an answer in XML": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "a server says"),
    "an answer in JSON": (b'{"message": "Not Found"}', "a server says"),
    "an answer": (b"404: Not Found", "a server says"),
    "WebP": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(90), "is a WebP picture"),
    "TIFF": (b"MM\0*\0\0\0\x08" + bytes(90), "is a TIFF picture"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(90), "is a HEIC or AVIF picture"),
    "SolidWorks": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an OLE document"),
    "Rhino": (b"3D Geometry File Format 50" + bytes(90), "is a Rhino model"),
    "a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "git lfs pull",
    ),
    "a page": (b"<!DOCTYPE html>\n<html><body>not found</body></html>", "is an HTML page"),
    "a page behind a comment": (b"\xef\xbb\xbf\n<!-- saved -->\n<HTML lang=en></HTML>", "is an HTML page"),
    "packed photos": (
        gzip.compress(b"\x89PNG\r\n\x1a\n" + bytes(50)),
        "is a PNG picture",
    ),
    "bzip2": (b"BZh91AY&SY", "is packed by bzip2"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c\0\x04", "is packed by 7-Zip"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a PNG picture, not a mesh"),
    "a photo": (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG picture, not a mesh"),
    "a document": (b"%PDF-1.7\n", "is a PDF document, not a mesh"),
    "Blender's own": (
        b"BLENDER-v293" + bytes(50),
        r"is Blender \(\.blend\), which is not read: save it as GLB",
    ),
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_mesh_is_named_for_what_it_is(tmp_path: Path, kind: str, ending: str) -> None:
    content, said = STRANGERS[kind]
    (path := tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(HifaError, match=said):
        read_mesh(path)


def test_damage_is_never_told_in_the_words_of_a_library(tmp_path: Path) -> None:
    """Whatever is cut out of a file: a reason names neither an exception nor a Python type."""
    generator = np.random.default_rng(0)
    draw = DrawShape(RenderConfig(views=1, size=32))
    reasons = set()
    for kind, content in CONTENTS.items():
        for number in range(12):
            begin, end = sorted(generator.integers(0, len(content), 2))
            path = tmp_path / f"{number}.{kind.split()[0]}"
            path.write_bytes(content[:begin] + content[end:])
            drawn = draw(path, tmp_path / "out" / "x", "mark")
            reasons.add(drawn if isinstance(drawn, str) else "drawn")
    words = (
        "Error",
        "Exception",
        "Traceback",
        "Iteration",
        "NoneType",
        "ndarray",
        "'int'",
        "line ",
        "object ",
    )
    assert not [reason for reason in reasons for word in words if word in reason.replace("at line ", "")]
    assert len(reasons) > 5


def test_our_own_faults_are_told_by_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = DrawShape(RenderConfig(views=1, size=32))
    monkeypatch.setattr(draw, "views", lambda path: dict[str, int]()["gone"])
    (tmp_path / "a.off").write_text(off_text(box()))
    reason = draw(tmp_path / "a.off", tmp_path / "out", "mark")
    assert isinstance(reason, str)
    assert "a fault of hifa's own (test_contents.py, line" in reason
    assert "gone" not in reason


LONG_HEADS = {
    "letters": b"n" * 80,
    "comments": b"# a comment\r\n" * 80,
    "blank lines": b"#\n\n\n" * 80,
    "xml comments": b"<?xml?>" + b"<!-- -->\n" * 200,
    "open comments": b"<!--" * 900,
    "only blanks": b"\n" * 4000,
}
TELL = "import sys; from pathlib import Path; from hifa_cli.render.contents import format_of; "


@pytest.mark.parametrize("head", LONG_HEADS)
def test_first_bytes_are_told_in_no_time(tmp_path: Path, head: str) -> None:
    (path := tmp_path / "a.glb").write_bytes(LONG_HEADS[head])
    command = [sys.executable, "-c", TELL + "format_of(Path(sys.argv[1]))", str(path)]
    done = subprocess.run(command, timeout=30, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
