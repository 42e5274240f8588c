"""Pictures of every kind become upright RGB, or are refused in one line."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hifa_cli.data.pictures
from hifa_cli.data import read_picture
from hifa_cli.errors import HifaError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def colours(path: Path) -> list[tuple[int, ...]]:
    picture = read_picture(path)
    assert picture.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3).tolist()]


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "ppm", "webp", "gif", "dib"])
def test_every_lossless_format_gives_its_pixels(tmp_path: Path, ending: str) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"a.{ending}", Image.new("RGB", (3, 2), RED), **options)
    assert set(colours(path)) == {RED}
    assert read_picture(path).size == (3, 2)


def test_an_ending_need_not_tell_the_truth(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), RED).save(tmp_path / "a.jpg", format="PNG")
    assert set(colours(tmp_path / "a.jpg")) == {RED}


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    picture = hifa_cli.data.pictures._as_rgb(Image.new(mode, (4, 4)))
    assert (picture.mode, picture.size) == ("RGB", (4, 4))


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    assert colours(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), RED))) == [RED]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """The upright picture has red at the left of its top row; the file holds it turned."""
    upright = Image.new("RGB", (16, 8), WHITE)
    upright.paste(RED, (0, 0, 8, 4))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose that makes the file of each orientation
    turned = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", turned, exif=exif)
    np.testing.assert_array_equal(np.asarray(read_picture(path)), np.asarray(upright))


def test_broken_exif_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8), RED), exif=b"Exif\0\0MM\0*" + b"\xff" * 20)
    assert read_picture(path).size == (8, 8)


@pytest.mark.parametrize("kind", ["rgba", "la", "palette", "palette-bytes", "rgb-key"])
def test_what_is_transparent_shows_white(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "rgba":
        saved(path, Image.new("RGBA", (2, 2), (0, 0, 0, 0)))
    elif kind == "la":
        saved(path, Image.new("LA", (2, 2), (0, 0)))
    elif kind == "rgb-key":
        saved(path, Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3))
    else:
        palette = Image.new("P", (2, 2), 0)
        palette.putpalette([9, 9, 9, 8, 8, 8])
        saved(path, palette, transparency=0 if kind == "palette" else b"\x00\xff")
    assert set(colours(path)) == {WHITE}


def test_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGBA", (1, 1), (0, 0, 0, 128)))
    assert colours(path)[0] == pytest.approx((127, 127, 127), abs=1)


def png16(values: Any, kind: int = 0, bands: int = 1) -> bytes:
    """A 16-bit PNG, by hand: what it holds does not depend on how Pillow writes one."""
    rows = np.asarray(values, dtype=">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", rows.shape[1] // bands, rows.shape[0], 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_greys_are_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png16([[0, 257, 128 * 257, 65535]]))
    assert [pixel[0] for pixel in colours(tmp_path / "a.png")] == [0, 1, 128, 255]


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_greys_that_use_fewer_of_sixteen_bits_are_scaled_to_what_they_use(tmp_path: Path, bits: int) -> None:
    white = (1 << bits) - 1
    greys = np.array([[0, white // 5, white]], dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png16(greys))
    saved(tmp_path / "b.tiff", Image.fromarray(greys))
    saved(tmp_path / "c.tiff", Image.fromarray(greys.astype(np.int32)))
    for name in ("a.png", "b.tiff", "c.tiff"):
        assert [pixel[0] for pixel in colours(tmp_path / name)] == pytest.approx([0, 51, 255], abs=1), name


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_colours_that_use_twelve_of_sixteen_bits_are_brightened(tmp_path: Path, kind: int) -> None:
    """PNG's kinds 2 RGB, 4 grey with alpha, 6 RGBA: Pillow keeps the upper 8 of 16 bits of all of them."""
    bands = {2: 3, 4: 2, 6: 4}[kind]
    values = np.full((1, 2, bands), 4095)
    values[0, 0] //= 2
    if kind != 2:
        values[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(png16(values.reshape(1, -1), kind, bands))
    assert [pixel[0] for pixel in colours(tmp_path / "a.png")] == pytest.approx([127, 255], abs=10)


def test_the_unused_fourth_byte_of_a_bmp_is_not_transparency(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bmp", Image.new("RGBA", (2, 2), (255, 0, 0, 0)))
    content = bytearray(path.read_bytes())
    header = bytearray(108)  # of version 4, which names a mask for alpha
    header[:40] = content[14:54]
    header[:4] = struct.pack("<I", 108)
    header[16:20] = struct.pack("<I", 3)
    header[40:56] = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    content[10:14] = struct.pack("<I", 122)
    path.write_bytes(content[:14] + header + content[54:])
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
    assert set(colours(path)) == {RED}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"", "it is empty"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000, which is not read"),
        (b"\xff\x0a" + bytes(90), "JPEG XL"),
        (b"\0\0\0\x18ftypcrx " + bytes(90), "raw picture"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "a film"),
        (b"MM\0*" + bytes(90), "a TIFF that is damaged, or of a kind"),
        (b"glTF\x02\0\0\0", "a mesh, not a picture"),
    ],
)
def test_what_took_a_photos_place_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(HifaError, match=said):
        read_picture(tmp_path / "a.jpg")


def bare_tiff(values: Any, photometric: int, sample: int) -> bytes:
    """A TIFF of one strip, by hand: Pillow writes no wide greys whose 0 is white."""
    body = np.ascontiguousarray(values)
    order = "<" if body.dtype.byteorder != ">" else ">"
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 10)
    begin = 8 + 2 + 10 * 12 + 4
    entries = [
        (256, body.shape[1]), (257, body.shape[0]), (258, 8 * body.itemsize), (259, 1), (262, photometric),
        (273, begin), (277, 1), (278, body.shape[0]), (279, body.nbytes), (339, sample),
    ]  # fmt: skip
    rows = b"".join(
        struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value) for tag, value in entries
    )
    return head + rows + bytes(4) + body.tobytes()


@pytest.mark.parametrize("kind", ["<u2", "<f4", ">f4", "|u1"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_greys_whose_white_is_zero_are_not_drawn_as_negatives(
    tmp_path: Path, kind: str, photometric: int
) -> None:
    levels = np.array([[0, 51, 255]] * 2)
    levels = levels if photometric else 255 - levels
    scale = {"f": 1 / 255, "u": 257 if "2" in kind else 1}[kind[1]]
    content = bare_tiff((levels * scale).astype(kind), photometric, {"u": 1, "f": 3}[kind[1]])
    (tmp_path / "a.tif").write_bytes(content)
    assert [pixel[0] for pixel in colours(tmp_path / "a.tif")][:3] == pytest.approx([0, 51, 255], abs=1)


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
def test_colours_of_16_bits_in_ppm_are_brightened(tmp_path: Path, white: int) -> None:
    values = np.repeat([[0, white // 2, white]], 3, axis=1).astype(">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6\n3 1\n65535\n" + values.tobytes())
    found = [pixel[0] for pixel in colours(tmp_path / "a.ppm")]
    assert found == pytest.approx([0, 127, 255], abs=45)


def test_greys_of_15_bits_and_a_sign_are_as_bright_as_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(bare_tiff(np.array([[0, 32767]], dtype="<i2"), 1, 2))
    assert [pixel[0] for pixel in colours(tmp_path / "a.tif")] == [0, 255]


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", "<f4"])
def test_tiffs_of_wide_greys_are_scaled(tmp_path: Path, kind: str) -> None:
    values = np.array([[0, 257 * 51, 65535]])
    greys = (values / 65535 if kind == "<f4" else values).astype(kind.replace(">", "<"))
    saved(tmp_path / "a.tiff", Image.fromarray(greys))
    assert [pixel[0] for pixel in colours(tmp_path / "a.tiff")] == [0, 51, 255]


def test_floats_that_are_no_numbers_are_black(tmp_path: Path) -> None:
    saved(tmp_path / "a.tiff", Image.fromarray(np.array([[np.nan, np.inf, 1.0]], dtype=np.float32)))
    assert [pixel[0] for pixel in colours(tmp_path / "a.tiff")] == [0, 0, 255]


def test_cmyk_jpegs_keep_their_colours(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95)
    assert colours(path)[0] == pytest.approx(RED, abs=4)


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, WHITE)]
    for ending in ("gif", "webp", "tiff"):
        frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
        assert colours(tmp_path / f"a.{ending}")[0] == pytest.approx(RED, abs=4)


def test_several_pictures_in_one_jpeg_are_read(tmp_path: Path) -> None:
    """Phones write MPO: a JPEG with a preview or depth picture behind it."""
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), WHITE)
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert colours(tmp_path / "a.jpg")[0] == pytest.approx(RED, abs=4)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says that it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    out = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        out += (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return out


@pytest.mark.parametrize("side", [10_000, 13_500, 60_000])
def test_bombs_are_refused_by_name_before_they_are_decoded(tmp_path: Path, side: int) -> None:
    """10,000² is beyond our limit, 13,500² beyond Pillow's warning, 60,000² beyond its error."""
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(HifaError, match=r"bomb\.png .*90 million"):
            read_picture(tmp_path / "bomb.png")


def test_a_huge_jpeg_is_decoded_at_half_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hifa_cli.data.pictures, "MAX_PIXELS", 64 * 64)
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (128, 64), RED))
    assert read_picture(path).size == (64, 32)
    progressive = saved(tmp_path / "p.jpg", Image.new("RGB", (128, 64), RED), progressive=True)
    with pytest.raises(HifaError, match=r"p\.jpg has 128 x 64 pixels"):
        read_picture(progressive)
    monkeypatch.setattr(hifa_cli.data.pictures, "MAX_JPEG_PIXELS", 128 * 64 - 1)
    with pytest.raises(HifaError, match="more than the limit"):
        read_picture(path)


@pytest.mark.slow
def test_a_photo_of_108_megapixels_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "phone.jpg", Image.new("RGB", (12_000, 9_000), RED))
    assert read_picture(path).size == (6_000, 4_500)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tiff", "gif", "ppm"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7])
def test_what_is_truncated_is_refused_in_one_line(tmp_path: Path, ending: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, format={"jpg": "jpeg"}.get(ending, ending))
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * kept)])
    with pytest.raises(HifaError, match=r"cut\.\w+ cannot be read as a picture") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"\0" * 100,
        b"GIF89a",
    ],
)
def test_what_we_do_not_decode_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(HifaError, match="cannot be read as a picture"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("form", ["PCX", "TGA", "SGI", "ICO", "EPS"])
def test_a_good_picture_of_a_kind_that_is_not_on_the_list_is_refused(tmp_path: Path, form: str) -> None:
    Image.new("RGB", (16, 16), RED).save(tmp_path / "a.png", format=form)
    with pytest.raises(HifaError, match="it is none of JPEG, PNG"):
        read_picture(tmp_path / "a.png")


def test_a_pillow_without_one_of_the_decoders_still_reads_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hifa_cli.data.pictures, "FORMATS", ("NOT-BUILT-IN", "PNG"))
    assert colours(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), RED))) == [RED]
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(HifaError, match="it is none of"):
        read_picture(tmp_path / "b.png")


def test_no_decoder_that_runs_programs_is_allowed() -> None:
    assert not {"EPS", "WMF", "PSD", "FPX", "MIC", "SPIDER", "PDF"} & set(hifa_cli.data.pictures.FORMATS)


def test_random_bytes_after_a_good_start_never_do_more_than_fail(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    outcomes = set()
    for ending, form in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("tiff", "TIFF"), ("gif", "GIF")):
        good = io.BytesIO()
        Image.new("RGB", (32, 32), RED).save(good, format=form)
        for _ in range(60):
            content = bytearray(good.getvalue())
            for place in generator.integers(0, len(content), 4):
                content[place] = generator.integers(256)
            (tmp_path / f"a.{ending}").write_bytes(content)
            try:
                outcomes.add(read_picture(tmp_path / f"a.{ending}").mode)
            except HifaError:
                outcomes.add("refused")
    assert outcomes == {"RGB", "refused"}


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HifaError, match="does not exist"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(HifaError, match="is not a file"):
        read_picture(tmp_path)


def test_heic_without_its_library_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    for name, brands in (("a.heic", b"heic\0\0\0\0mif1"), ("b.jpg", b"mif1\0\0\0\0heic")):
        (tmp_path / name).write_bytes(b"\0\0\0\x14ftyp" + brands)
        with pytest.raises(HifaError, match="is HEIC: 'pip install pillow-heif"):
            read_picture(tmp_path / name)


def test_heic_is_read_where_its_library_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 32), RED)).save(str(tmp_path / "a.heic"))
    picture = read_picture(tmp_path / "a.heic")
    assert picture.size == (64, 32)
    assert picture.getpixel((5, 5)) == pytest.approx(RED, abs=6)
    (tmp_path / "a.heic").rename(tmp_path / "stdin")  # what comes from standard input has no ending
    assert read_picture(tmp_path / "stdin").size == (64, 32)
    (tmp_path / "stdin").rename(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").size == (64, 32)


def test_a_jpeg_that_is_called_heic_is_read(tmp_path: Path) -> None:
    saved(tmp_path / "a.heic", Image.new("RGB", (8, 8), RED), format="JPEG")
    assert colours(tmp_path / "a.heic")[0] == pytest.approx(RED, abs=4)


def test_a_jpeg_beyond_pillows_own_limit_is_read_small(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    Image.new("L", (19_000, 10_000), 7).save(path)
    assert read_picture(path).size == (9_500, 5_000)


def test_only_the_decoders_that_are_trusted_are_imported() -> None:
    program = (
        "import sys\n"
        "from hifa_cli.data.pictures import FORMATS, _decoders\n"
        "mine, quick = _decoders(FORMATS), 'PIL.IcnsImagePlugin' not in sys.modules\n"
        "from PIL import Image\n"
        "Image.init()\n"
        "print(quick, mine == tuple(form for form in FORMATS if form in Image.OPEN))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
