"""What a file is, by its first bytes."""

# What a file is by its first bytes. Tables are text or parquet; everything else is named for what it is.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "a Feather (Arrow) file"),
    (b"FEA1", "a Feather file"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM\x00", "a BMP image"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"fLaC", "a FLAC sound file"),
    (b"OggS", "an Ogg sound file"),
    (b"ID3", "an MP3 sound file"),
    (b"RIFF", "a RIFF (wav, webp or avi) file"),
)


def what_is(start: bytes) -> str | None:
    """What a file is that is not a text table, from its first bytes (a few hundred); None for text.

    "parquet" is the one answer that is a table.
    """
    for signature, name in SIGNATURES:
        if start.startswith(signature):
            return name
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start[4:8] == b"ftyp":
        return "an MP4 file"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"[") and text[1:].lstrip()[:1] in (b'"', b"{", b"[", b"]", b"}"):
        return "JSON"
    if text[:14].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page or XML"
    return None
