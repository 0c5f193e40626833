"""The KCC paper as PDF, and CITATION.cff: python book/paper/build.py [PROFILE | citation]

Typst sets book/paper/*.typ. Every number and every sentence that an outcome decides comes from
_build/text/<profile>.json (`mtlstudy text`): the sources are compiled in a folder of their own
beside that file, the figure, metadata.yml and references.bib, and see nothing else. Fonts come from
packages alone and the file carries no date, so that the same results give the same bytes anywhere.
"""

import json
import os
import shutil
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from mtlstudy import files
from mtlstudy.errors import InputError
from mtlstudy.study.plan import PROFILES, SHOWN, profile_named
from mtlstudy.training import store

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PARTS = ("claims", "run", "provenance", "set")
FONTS = ("pylopdf-fonts-ko", "koreanize-matplotlib")  # Noto Serif and Sans KR; NanumGothic: OFL 1.1


def compile(review: bool, profile: str = SHOWN, built: Path | None = None) -> Path:
    """Set the paper: paper/kcc-review.pdf without authors and acknowledgement, or paper/kcc.pdf.

    built: the folder that holds text and figures, and takes the paper; the build folder if not
    given.

    Raises:
        InputError: text or figure are missing, or Typst warned.
        typst.TypstError: an error in the source, such as a claim or number that is not there.
    """
    import typst

    profile_named(profile)
    built = built or store.build_folder()
    text = built / "text" / f"{profile}.json"
    figure = built / "results" / profile / "figures" / "delta_m.pdf"
    sources = [
        *sorted((BOOK / "paper").glob("*.[ct]*")),
        BOOK / "metadata.yml",
        BOOK / "references.bib",
    ]
    for file in (*sources, text, figure):
        if not file.is_file():
            raise InputError(f"{file} is missing: text and notebooks come first (`make book`)")
    if missing := [part for part in PARTS if part not in json.loads(files.result(text) or "{}")]:
        raise InputError(f"{text}: no {', '.join(missing)}; `mtlstudy text` writes it anew")
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for file in (*sources, figure):
            shutil.copy(file, root)
        shutil.copy(text, root / "text.json")
        fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=True, font_paths=font_folders()
        )
        compiler = typst.Compiler(root / "paper.typ", root=root, font_paths=fonts)
        pdf, warnings = compiler.compile_with_warnings(
            format="pdf", sys_inputs={"review": str(review).lower()}, timestamp=0
        )
    if warnings:
        said = "; ".join(warning.message for warning in warnings)
        raise InputError(f"book/paper: Typst warns: {said}")
    target = built / "paper" / ("kcc-review.pdf" if review else "kcc.pdf")
    files.write(target, pdf)
    return target


def font_folders() -> list[str]:
    """The folders of the packages' font files."""
    files = [file for name in FONTS for file in distribution(name).files or []]
    files = [file for file in files if file.suffix in (".otf", ".ttf")]
    return sorted({str(Path(str(file.locate())).resolve().parent) for file in files})


def citation(metadata: Path = BOOK / "metadata.yml") -> str:
    """The text of CITATION.cff (format 1.2.0), made from the metadata and the package's version."""
    meta = yaml.safe_load(metadata.read_text(encoding="utf-8"))

    def authors() -> list[dict[str, str]]:  # one list twice would be a YAML alias
        return [{"name": a["name_en"], "alias": a["name_ko"]} for a in meta["authors"]]

    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this study, please cite it as below.",
        "type": "software",
        "title": f"mtlstudy: {meta['title_en']}",
        "version": version("mtlstudy"),
        "license": "MIT",
        "authors": authors(),
        "keywords": meta["keywords_en"],
        "preferred-citation": {
            "type": "unpublished",
            "title": meta["title_ko"],
            "authors": authors(),
        },
    }
    head = (
        "# Written by `python book/paper/build.py citation` from book/metadata.yml; change that.\n"
    )
    return head + yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=130)


def main(arguments: list[str]) -> None:
    """`citation` writes CITATION.cff; a profile (default $MTLSTUDY_PROFILE, then the one shown)
    makes both versions of its paper."""
    if arguments == ["citation"]:
        files.write(ROOT / "CITATION.cff", citation())
        print("CITATION.cff")
        return
    if len(arguments) > 1:
        allowed = f"citation, or one of {', '.join(PROFILES)}"
        raise InputError(f"arguments = {' '.join(arguments)!r}; allowed: {allowed}")
    profile = arguments[0] if arguments else os.environ.get("MTLSTUDY_PROFILE", SHOWN)
    for review in (True, False):
        print(compile(review, profile))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f"mtlstudy: {error}")
