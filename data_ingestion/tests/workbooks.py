"""Workbooks written as XML, because no library writes the unusual ones."""

import zipfile
from pathlib import Path
from typing import NamedTuple

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TRANSITIONAL = ("http://schemas.openxmlformats.org/spreadsheetml/2006/main", OFFICE)
STRICT = (
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
# Style 0 is General, 1 the short date, 2 an amount, 3 a date with the month's name.
STYLES = (
    '<numFmts><numFmt numFmtId="164" formatCode="#,##0.00_)"/>'
    '<numFmt numFmtId="165" formatCode="mmm d, yy"/></numFmts>'
    '<cellXfs><xf/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs>'
)


class Tab(NamedTuple):
    """A tab of a workbook.

    Attributes:
        rows: The XML of its rows.
        name: What people see.
        state: `hidden` or `veryHidden`.
        kind: The kind of the sheet.
    """

    rows: str
    name: str = "Statement"
    state: str = "visible"
    kind: str = "worksheet"


def row(*cells: str, attributes: str = "") -> str:
    """Return the XML of a row. A cell is its XML, or a text."""
    parts = [cell if cell.startswith("<c") else text_cell(cell) for cell in cells]
    return f"<row{attributes}>{''.join(parts)}</row>"


def text_cell(text: str) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def workbook(
    path: Path,
    *tabs: Tab | str,
    strings: str | None = None,
    styles: str | None = STYLES,
    properties: str = "",
    calculation: str = "",
    names: tuple[str, str] = TRANSITIONAL,
) -> Path:
    """Write a workbook.

    Args:
        path: The file.
        tabs: Its tabs, or the rows of a tab.
        strings: The XML of the strings that cells share; None leaves the part out.
        styles: The XML of the styles; None leaves the part out.
        properties: The XML in front of the list of sheets.
        calculation: The XML behind it.
        names: The namespaces of elements and of relations.
    """
    main, office = names
    sheets, relations, parts = "", "", {}
    for number, item in enumerate(tabs, start=1):
        tab = item if isinstance(item, Tab) else Tab(item)
        sheets += (
            f'<sheet name="{tab.name}" sheetId="{number}" state="{tab.state}" r:id="r{number}"/>'
        )
        target = f"worksheets/sheet{number}.xml"
        relations += _relation(f"r{number}", f"{office}/{tab.kind}", target)
        parts[f"xl/{target}"] = f"<{tab.kind}><sheetData>{tab.rows}</sheetData></{tab.kind}>"
    for name, root, content in (
        ("sharedStrings", "sst", strings),
        ("styles", "styleSheet", styles),
    ):
        if content is not None:
            relations += _relation(name, f"{office}/{name}", f"{name}.xml")
            parts[f"xl/{name}.xml"] = f"<{root}>{content}</{root}>"
    book = f"<workbook>{properties}<sheets>{sheets}</sheets>{calculation}</workbook>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _content_types(strings is not None))
        document = _relation("main", f"{office}/officeDocument", "xl/workbook.xml")
        archive.writestr("_rels/.rels", _relations(document))
        archive.writestr("xl/_rels/workbook.xml.rels", _relations(relations))
        for name, xml in {"xl/workbook.xml": book, **parts}.items():
            start = f' xmlns="{main}" xmlns:r="{office}">'
            archive.writestr(name, xml.replace(">", start, 1))
    return path


def _relation(id_: str, type_: str, target: str) -> str:
    return f'<Relationship Id="{id_}" Type="{type_}" Target="{target}"/>'


def _relations(content: str) -> str:
    return f'<Relationships xmlns="{PACKAGE}/relationships">{content}</Relationships>'


def _content_types(has_strings: bool) -> str:
    """Return the types by which other programs find the parts of a workbook."""
    kinds = {"workbook": "sheet.main"} | ({"sharedStrings": "sharedStrings"} if has_strings else {})
    types = (
        f'<Override PartName="/xl/{part}.xml" ContentType="'
        f'application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}+xml"/>'
        for part, kind in kinds.items()
    )
    return f'<Types xmlns="{PACKAGE}/content-types">{"".join(types)}</Types>'
