"""Attachments for the sample mail, made by code. The same arguments give the same octets."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

Colour = tuple[int, int, int]


def png(width: int, height: int, pixel: Callable[[int, int], Colour]) -> bytes:
    """A true-colour PNG (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(part for x in range(width) for part in pixel(x, y)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def grain(seed: int, width: int = 400, height: int = 240) -> bytes:
    """A picture that does not compress, for attachments of some size."""
    noise = hashlib.shake_256(b"grain %d" % seed).digest(width * height)
    return png(width, height, lambda x, y: (noise[y * width + x], noise[x * height + y], (x * y + seed) & 255))


def landscape(seed: int, width: int = 320, height: int = 200) -> bytes:
    """Hills under an evening sky."""
    hills = [(height * (3 + level) // 7, 11 + 7 * ((seed + level * 5) % 6), 23 + 31 * level) for level in range(3)]

    def pixel(x: int, y: int) -> Colour:
        for base, swing, length in reversed(hills):
            wave = ((x + seed * 37) % (2 * length) - length) ** 2 * swing // (length * length)
            if y > base - swing + wave:
                shade = 40 + (base * 120) // height
                return shade // 3, shade, shade // 2
        return 250 - y // 2, 180 - y // 3 + (seed % 5) * 8, 120 + y // 2

    return png(width, height, pixel)


def chart(values: list[int], width: int = 360, height: int = 160) -> bytes:
    """A bar chart."""
    top = max(values)
    step = width // len(values)

    def pixel(x: int, y: int) -> Colour:
        bar = min(x // step, len(values) - 1)
        if x % step < step * 3 // 4 and height - y <= values[bar] * (height - 8) // top:
            return 40, 90 + (bar * 12) % 120, 170
        return (225, 225, 225) if y % 20 == 0 else (255, 255, 255)

    return png(width, height, pixel)


def pdf(title: str, paragraphs: list[str]) -> bytes:
    """A page of text (ISO 32000-1), with a cross-reference table that is right."""

    def escaped(text: str) -> bytes:
        octets = text.encode("cp1252", "replace")
        return octets.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")

    drawn = [b"BT /F1 20 Tf 60 770 Td (%s) Tj ET" % escaped(title)]
    y = 730
    for paragraph in paragraphs:
        words = paragraph.split()
        while words and y > 60:
            line = words.pop(0)
            while words and len(line) + len(words[0]) < 85:
                line += " " + words.pop(0)
            drawn.append(b"BT /F1 11 Tf 60 %d Td (%s) Tj ET" % (y, escaped(line)))
            y -= 15
        y -= 10
    content = b"\n".join(drawn)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    data = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(data)
    size = len(objects) + 1
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return data + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def archive(files: dict[str, bytes]) -> bytes:
    """A ZIP file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(zipfile.ZipInfo(name, (2025, 3, 1, 12, 0, 0)), data)
    return packed.getvalue()


def wave(seconds: float, pitch: int) -> bytes:
    """A tone, as a voice message might come: 8 kHz, 8 bit, mono."""
    count = int(8000 * seconds)
    samples = bytes(
        128 + ((number * pitch * 2 // 8000) % 2 * 2 - 1) * max(0, 40 - number * 40 // count) for number in range(count)
    )
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    return struct.pack("<4sI4s", b"RIFF", 36 + count, b"WAVE") + shape + struct.pack("<4sI", b"data", count) + samples


def table(rows: int, seed: int) -> bytes:
    """A CSV file."""
    lines = ["day,visitors,teas,cakes,takings"]
    for day in range(1, rows + 1):
        visitors = 20 + (day * 37 + seed * 11) % 60
        lines.append(
            f"2025-{1 + day // 28 % 12:02}-{1 + day % 28:02},{visitors},{visitors * 2 // 3},{visitors // 4},"
            f"{visitors * 4.35:.2f}"
        )
    return ("\r\n".join(lines) + "\r\n").encode()


def invitation(uid: str, title: str, place: str, start: str, end: str, organizer: str, guest: str) -> bytes:
    """A meeting request (RFC 5545, RFC 5546); times as 20250314T100000Z."""
    lines = (
        "BEGIN:VCALENDAR",
        "PRODID:-//Culverhouse//Sample mail//EN",
        "VERSION:2.0",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20250301T080000Z",
        f"DTSTART:{start}",
        f"DTEND:{end}",
        f"SUMMARY:{title}",
        f"LOCATION:{place}",
        f"ORGANIZER;CN=Organizer:mailto:{organizer}",
        f"ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{guest}",
        "SEQUENCE:0",
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()
