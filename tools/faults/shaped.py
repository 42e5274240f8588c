"""Mutations that keep a format's frame right, so that what lies behind its checksums and lengths is reached.

Each takes a well-formed file (or what others have left of one) and gives one a little wrong; what is no such
file any more comes back as it was.
"""

import hashlib
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
from lxml import etree

Generator = np.random.Generator
Way = Callable[[bytes, Generator], bytes]

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 255, 65_536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 10**30, -(2**63),
    -0.5, 0.5, 1e-300, 1e200, 1e308, float("nan"), float("inf"), "", "x", "0", "-1", "\0", "../x", "\ud800",
    "/nowhere", "9" * 400, [], {}, [[]], [1, 2, 3], ["x"], {"x": 1}, [None],
)  # fmt: skip
NUMBERS = ("-1", "0", "1", "2", "0.5", "4294967296", "-9223372036854775808", "99999999999999999999", "1e30",
           "1e308", "1e-320", "nan", "inf", "", "x")  # fmt: skip
FLOATS = (0.0, -1.0, 1e-40, 1e30, -1e38, float("nan"), float("inf"))
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def one_of(generator: Generator, choices: Sequence[Any]) -> Any:
    """One of them, as it is."""
    return choices[int(generator.integers(len(choices)))]


# ---- documents ----


def mutated_json(document: Any, generator: Generator) -> Any:
    """A copy of a JSON document with one value changed, gone, doubled, renamed, moved or wrapped."""
    whole = [json.loads(json.dumps(document))]
    places = list(_places(whole))
    numbers = [place for place in places if type(place[0][place[1]]) in (int, float)]
    if numbers and generator.random() < 0.4:  # mostly a number a little off: what gets furthest
        holder, key = one_of(generator, numbers)
        holder[key] = one_of(generator, (holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 2, 0))
        return whole[0]
    holder, key = one_of(generator, places)
    way = generator.random()
    if way < 0.55 or holder is whole:
        holder[key] = one_of(generator, VALUES)
    elif way < 0.7:
        del holder[key]
    elif way < 0.8:
        other, place = one_of(generator, places)
        with suppress(KeyError, IndexError):
            holder[key] = json.loads(json.dumps(other[place]))
    elif way < 0.9:
        holder[key] = [holder[key]]
    elif isinstance(holder, list):
        holder.insert(int(generator.integers(len(holder) + 1)), holder[key])
    else:
        holder[one_of(generator, ("x", "", key.upper(), f"{key}s"))] = holder.pop(key)
    return whole[0]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def json_text(content: bytes, generator: Generator) -> bytes:
    """A JSON file."""
    try:
        return json.dumps(mutated_json(json.loads(content), generator)).encode()
    except (ValueError, RecursionError):
        return content


def json_lines(content: bytes, generator: Generator) -> bytes:
    """A file of a JSON document a line."""
    lines = content.splitlines()
    if lines:
        place = int(generator.integers(len(lines)))
        lines[place] = json_text(lines[place], generator)
    return b"\n".join(lines) + b"\n"


def toml_text(content: bytes, generator: Generator) -> bytes:
    """A TOML file of tables of plain values."""
    tables: dict[str, dict[str, Any]] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        if line.startswith("["):
            tables[line.strip("[]")] = {}
        elif "=" in line and tables:
            key, _, value = line.partition("=")
            with suppress(ValueError):
                list(tables.values())[-1][key.strip()] = json.loads(value)
    changed = mutated_json(tables, generator)
    if not isinstance(changed, dict):
        return content
    lines: list[str] = []
    for name, table in changed.items():
        if not isinstance(table, dict):
            lines.insert(0, f"{json.dumps(name)} = {_toml(table)}")
            continue
        lines += [
            f"[{json.dumps(name)}]",
            *(f"{json.dumps(key)} = {_toml(one)}" for key, one in table.items()),
        ]
    return "\n".join(lines).encode("utf-8", "replace")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return "1979-05-27T07:32:00Z"
    return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(said := json.dumps(value), said)


def text_lines(content: bytes, generator: Generator) -> bytes:
    """A text: lines gone, doubled, swapped; words gone, doubled, exchanged; numbers off."""
    lines = content.decode("utf-8", "replace").split("\n")
    first, second = (int(one) for one in generator.integers(0, len(lines), 2))
    way = int(generator.integers(6))
    if way == 0:
        del lines[first]
    elif way == 1:
        lines.insert(second, lines[first])
    elif way == 2:
        lines[first], lines[second] = lines[second], lines[first]
    elif way == 3:
        lines[first] = _NUMBER.sub(lambda found: _nudged(found[0], generator), lines[first], count=1)
    else:
        words = re.split(r"([\s,;]+)", lines[first])
        place = int(generator.integers(len(words)))
        words[place] = one_of(generator, (*NUMBERS, words[place] * 2, "\\", "#", '"', "é" * 300))
        lines[first] = "".join(words)
    return "\n".join(lines).encode("utf-8", "replace")


def _nudged(number: str, generator: Generator) -> str:
    value = float(number)
    changed = one_of(generator, (value + 1, value - 1, -value, value * 1.5, 0.0))
    return str(int(changed)) if number.lstrip("-").isdigit() else f"{changed:g}"


def xml_text(content: bytes, generator: Generator) -> bytes:
    """An XML document: elements gone, doubled, renamed or moved; attributes and numbers changed."""
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return content
    elements = [one for one in root.iter() if isinstance(one.tag, str)]
    chosen, other = one_of(generator, elements), one_of(generator, elements)
    way, parent = int(generator.integers(8)), chosen.getparent()
    if way < 3 and chosen.attrib:
        name = one_of(generator, list(chosen.attrib))
        nudged = _NUMBER.sub(lambda found: _nudged(found[0], generator), chosen.attrib[name], count=1)
        chosen.attrib[name] = one_of(generator, (nudged, nudged, *NUMBERS, "#x", *other.attrib.values()))
    elif way < 5 and chosen.text:
        words = chosen.text.split()
        if words:
            place = int(generator.integers(len(words)))
            words[place] = one_of(generator, (*NUMBERS, *(words[place],) * 3, words[0], words[-1]))
            chosen.text = " ".join(words)
    elif way == 5 and parent is not None:
        parent.remove(chosen)
    elif way == 6 and parent is not None:
        parent.append(etree.fromstring(etree.tostring(chosen)))
    elif parent is not None and chosen not in list(other.iterancestors()) and other is not chosen:
        other.append(chosen)
    return bytes(etree.tostring(root))


# ---- archives and chunks ----


def archive(change: Way, wanted: str, compress_type: int = zipfile.ZIP_DEFLATED) -> Way:
    """A ZIP archive: the member whose name ends so changed; now and then one renamed, doubled or left out."""

    def mutate(content: bytes, generator: Generator) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                members = [(name, file.read(name)) for name in file.namelist()]
        except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError):
            return content
        way, place = generator.random(), int(generator.integers(max(len(members), 1)))
        if way < 0.8 or not members:
            members = [(n, change(data, generator) if n.endswith(wanted) else data) for n, data in members]
        elif way < 0.87:
            names = ("../x", "/x", ".", "a\\b", f"{members[place][0]}.x", members[-1][0], "é")
            members[place] = one_of(generator, names), members[place][1]
        elif way < 0.94:
            members.insert(0, members[place])
        else:
            del members[place]
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are two of a name is the point
            for name, data in members:
                file.writestr(zipfile.ZipInfo(name), data, compress_type)
        return made.getvalue()

    return mutate


def png_chunks(content: bytes, generator: Generator) -> bytes:
    """A PNG: its header, its rows or a chunk changed, with every length and checksum right."""
    chunks = list(_png_chunks(content))
    if not chunks:
        return content
    kinds = [kind for kind, _ in chunks]
    place, way = int(generator.integers(len(chunks))), int(generator.integers(6))
    if way == 0 and kinds[0] == b"IHDR" and len(chunks[0][1]) == 13:
        head = list(struct.unpack(">2I5B", chunks[0][1]))
        part = int(generator.integers(7))
        head[part] = one_of(generator, (head[part] - 1, 1, 2, 4, 6, 16, 100)) & 0xFF
        chunks[0] = b"IHDR", struct.pack(">2I5B", *head)
    elif way in (1, 2) and b"IDAT" in kinds:
        place = kinds.index(b"IDAT")
        with suppress(zlib.error):
            rows = flipped(zlib.decompress(chunks[place][1]), generator)
            chunks[place] = (
                b"IDAT",
                zlib.compress(rows[: one_of(generator, (None, None, -1, len(rows) // 2))]),
            )
    elif way == 3:
        kind = one_of(generator, (b"tRNS", b"PLTE", b"gAMA", b"cHRM", b"iCCP", b"tEXt", b"zTXt", b"iTXt",
            b"eXIf",
                                  b"acTL", b"fcTL", b"fdAT", b"sBIT", b"xxxx"))  # fmt: skip
        chunks.insert(max(place, 1), (kind, generator.bytes(int(generator.integers(0, 60)))))
    elif way == 4:
        chunks.insert(max(place, 1), chunks[place])
    else:
        chunks[place] = chunks[place][0], flipped(chunks[place][1], generator)
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg_segments(content: bytes, generator: Generator) -> bytes:
    """A JPEG: bytes of one segment's inside changed, or a segment doubled; markers and lengths stay right."""
    segments, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        segments.append(content[place : place + 2 + length])
        place += 2 + length
    if not segments:
        return content
    chosen = int(generator.integers(len(segments)))
    if generator.random() < 0.2:
        segments.insert(chosen, segments[chosen])
    else:
        segments[chosen] = segments[chosen][:4] + flipped(segments[chosen][4:], generator)
    return content[:2] + b"".join(segments) + content[place:]


def boxes(content: bytes, generator: Generator) -> bytes:
    """An ISO media file (HEIC): bytes within a box, far from the names and sizes of boxes."""
    changed = bytearray(content)
    names = [
        found.start() for found in re.finditer(rb"ispe|hvcC|pitm|iloc|iinf|ipma|irot|mdat|meta", content)
    ]
    if names:
        place = one_of(generator, names) + 4 + int(generator.integers(0, 24))
        if place < len(changed):
            changed[place] = one_of(generator, (0, 1, 127, 128, 255))
    return bytes(changed)


def tiff_entries(content: bytes, generator: Generator) -> bytes:
    """A TIFF: tag, type, count or value of an entry of its first directory."""
    changed, order = bytearray(content), "<" if content[:2] == b"II" else ">"
    if len(content) < 8:
        return content
    start = struct.unpack(f"{order}I", content[4:8])[0]
    count = int.from_bytes(content[start : start + 2], "little" if order == "<" else "big")
    place = start + 2 + 12 * int(generator.integers(max(count, 1)))
    if place + 12 > len(changed):
        return content
    kind = struct.unpack_from(f"{order}H", changed, place + 2)[0]
    value = one_of(generator, (0, 1, 2, 3, 8, 16, 20, 24, 255, 65_535, 2**31, 2**32 - 1, start))
    where, form = one_of(generator, ((8, "H" if kind == 3 else "I"), (8, "I"), (4, "I"), (2, "H"), (0, "H")))
    struct.pack_into(
        f"{order}{form}", changed, place + where, value & (0xFFFF if form == "H" else 0xFFFFFFFF)
    )
    return bytes(changed)


def flipped(content: bytes, generator: Generator) -> bytes:
    """A few bytes anywhere changed."""
    changed = bytearray(content)
    for place in generator.integers(0, max(len(changed), 1), int(generator.integers(1, 4))):
        if changed:
            changed[place] = one_of(generator, (0, 1, 255, changed[place] ^ 1, int(generator.integers(256))))
    return bytes(changed)


def store_records(content: bytes, generator: Generator) -> bytes:
    """A number in a record of a gallery's store changed, its checksum made right again."""
    records, place = [], 0
    while place + 32 <= len(content):
        count, width, cover = struct.unpack_from("<III", content, place + 20)
        size = 32 + width * (4 + 2 * count) + cover
        records.append(bytearray(content[place : place + size]))
        place += size + 8
    if not records:
        return content
    record = one_of(generator, records)
    at = 20 + 4 * int(generator.integers(0, max((len(record) - 20) // 4, 1)))
    record[at : at + 4] = struct.pack("<I", one_of(generator, (0, 1, 3, 2**16, 2**31, 2**32 - 1, 0x7FC00000)))
    return b"".join(bytes(one) + hashlib.blake2b(one, digest_size=8).digest() for one in records)


# ---- meshes ----


def glb_chunks(content: bytes, generator: Generator) -> bytes:
    """A GLB: its JSON or its numbers changed, its lengths right."""
    if len(content) < 20:
        return content
    length = int.from_bytes(content[12:16], "little")
    document, rest = content[20 : 20 + length], content[20 + length :]
    if generator.random() < 0.7:
        document = json_text(document, generator)
        document += b" " * (-len(document) % 4)
    else:
        rest = rest[:8] + floats(rest[8:], generator)
    body = struct.pack("<I4s", len(document), b"JSON") + document + rest
    return content[:8] + struct.pack("<I", 12 + len(body)) + body


def gltf_text(content: bytes, generator: Generator) -> bytes:
    """A glTF: its document, or the numbers in its buffers."""
    import base64

    if generator.random() < 0.7:
        return json_text(content, generator)
    try:
        document = json.loads(content)
        buffer = document["buffers"][0]
        head, _, data = buffer["uri"].partition(",")
        numbers = floats(base64.b64decode(data), generator)
    except (ValueError, LookupError, TypeError, AttributeError):
        return content
    buffer["uri"] = f"{head},{base64.b64encode(numbers).decode()}"
    return json.dumps(document).encode()


def floats(content: bytes, generator: Generator) -> bytes:
    """One 32-bit number, a float or a whole one, somewhere in plain numbers."""
    changed = bytearray(content)
    if len(changed) >= 4:
        place = int(generator.integers(len(changed) // 4)) * 4
        number = one_of(generator, (*FLOATS, *range(4)))
        struct.pack_into("<f" if isinstance(number, float) else "<I", changed, place, number)
    return bytes(changed)


def stl_binary(content: bytes, generator: Generator) -> bytes:
    """A binary STL: a number of a face, or the count with so many faces behind it."""
    if generator.random() < 0.6 or len(content) < 84:
        return content[:84] + floats(content[84:], generator)
    count: int = one_of(generator, (0, 1, 5, 1000, len(content)))
    body = (content[84:] * (50 * count // max(len(content) - 84, 1) + 1))[: 50 * count]
    return content[:80] + struct.pack("<I", count) + body


def ply_head(content: bytes, generator: Generator) -> bytes:
    """A PLY: a line of its head, or a number behind it."""
    head, end, body = content.partition(b"end_header\n")
    if generator.random() < 0.5:
        return head + end + (floats(body, generator) if b"binary" in head else text_lines(body, generator))
    if generator.random() < 0.5:
        return text_lines(head, generator) + end + body
    kinds = (
        b"char",
        b"uchar",
        b"short",
        b"int",
        b"uint",
        b"float",
        b"double",
        b"int8",
        b"list uchar int",
        b"long",
    )
    words = re.split(rb"(?<=\s)(char|uchar|short|int|uint|float|double)(?=\s)", head)
    if len(words) > 1:
        words[1 + 2 * int(generator.integers(len(words) // 2))] = one_of(generator, kinds)
    return b"".join(words) + end + body


# ---- stored numbers ----


def safetensors_head(content: bytes, generator: Generator) -> bytes:
    """A safetensors file: its head's JSON, or a number behind it, the length right."""
    length = int.from_bytes(content[:8], "little")
    head, body = content[8 : 8 + length], content[8 + length :]
    if generator.random() < 0.35:
        return content[:8] + head + floats(body, generator)
    try:
        document = json.loads(head)
    except (ValueError, RecursionError):
        return content
    if generator.random() < 0.3 and isinstance(document, dict) and document:  # whole tensors come and go
        name = one_of(generator, list(document))
        one = document.pop(name)
        if generator.random() < 0.7:
            document[one_of(generator, ("x", f"{name}.x", "momentum/99", "momentum/x", "weight/x"))] = one
    else:
        document = mutated_json(document, generator)
    head = json.dumps(document).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + body


def npy_head(content: bytes, generator: Generator) -> bytes:
    """A ``.npy`` file: another shape, type or order in its head, or its numbers changed."""
    if content[:6] != b"\x93NUMPY" or generator.random() < 0.4:
        return content[:128] + floats(content[128:], generator)
    begin = 10
    head = content[begin : begin + int.from_bytes(content[8:10], "little")].decode("latin-1")
    shapes = ("()", "(0,)", "(1,)", "(3, 2)", "(-1,)", "(99999999999,)", "(1, 1, 1)", "('x',)", "(2**70,)")
    kinds = ("<f8", "<f4", "<i4", "|b1", "|O", "<U4", "|V8", "<c8", ">i8", "<M8[s]", "f", "x")
    if generator.random() < 0.5:
        head = re.sub(r"\([^)]*\)", one_of(generator, shapes), head)
    else:
        head = re.sub(r"'descr': '[^']*'", f"'descr': '{one_of(generator, kinds)}'", head)
    line = head.rstrip().encode("latin-1")
    line += b" " * (-(len(line) + 11) % 64) + b"\n"
    return content[:8] + len(line).to_bytes(2, "little") + line + content[begin + len(head) :]


def h5_columns(content: bytes, generator: Generator) -> bytes:
    """An HDF5 file: a column of another type, shape or layout, values or attributes changed, by h5py."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        path.write_bytes(content)
        try:
            with h5py.File(path, "a") as file:
                _change_h5(file, generator)
        except Exception:  # whatever an earlier mutation makes h5py stumble over
            return content
        return path.read_bytes()


def _change_h5(file: Any, generator: Generator) -> None:
    columns: list[str] = []
    file.visititems(lambda name, one: columns.append(name) if isinstance(one, h5py.Dataset) else None)
    name, way = one_of(generator, columns), int(generator.integers(7))
    if way == 0:
        file.attrs[one_of(generator, (*file.attrs, "method", "config", "x"))] = one_of(
            generator, ("x", 1, -1, 2.5, b"\xff", [1, 2], ["a", "b", "c"], "[]", "{}", h5py.Empty("f4"))
        )
    elif way == 1:
        values = file[name][()]
        if values.dtype.kind in "if" and values.size:
            values.flat[int(generator.integers(values.size))] = one_of(generator, (-1, 0, 1, 5, 100))
            file[name][...] = values
    elif way == 2:
        kind = one_of(generator, ("i1", "u8", "f2", "f8", "S3", h5py.string_dtype(), "c8", "?", ">f4", ">i2"))
        values = file[name][()]
        del file[name]
        file[name] = np.zeros(values.shape, dtype=kind) if values.dtype.kind == "O" else values.astype(kind)
    elif way == 3:
        values = file[name][()]
        shape = one_of(generator, ((0,), (), (1,), (values.size,), (*values.shape, 1), (1, *values.shape)))
        del file[name]
        file[name] = np.resize(values, shape)
    elif way == 4:
        values, options = file[name][()], one_of(generator, ({"compression": "gzip"}, {"shuffle": True}, {}))
        del file[name]
        file.create_dataset(name, data=values, chunks=True, fletcher32=bool(generator.integers(2)), **options)
    elif way == 5:
        del file[one_of(generator, (name, name.rpartition("/")[0]))]
    else:
        other = one_of(generator, columns)
        values = file[other][()]
        del file[name]
        file[name] = values


def index_bytes(content: bytes, generator: Generator) -> bytes:
    """An index of FAISS: a few bytes, half of the time among its counts at the beginning."""
    changed = bytearray(content)
    most = min(len(content), 256) if generator.random() < 0.5 else len(content)
    for place in generator.integers(0, max(most, 1), 4):
        if changed:
            changed[place] = one_of(generator, (255, 255, int(generator.integers(256))))
    return bytes(changed)
