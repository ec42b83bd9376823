"""Digests of what a stage wrote."""

from attacca.atomic import write_json
from attacca.provenance.result_digests import digest_results


def test_files_and_directories_that_a_manifest_lists_are_digested_each(tmp_path):
    found = []
    for place in ("first", "second", "third"):
        directory = tmp_path / place / "export"
        (directory / "precomputed").mkdir(parents=True)
        (directory / "precomputed" / "info").write_text("{}" if place == "third" else "[]")
        for suffix in ("tif", "h5"):
            (directory / f"segmentation.{suffix}").write_text(suffix)
        files = ["export/precomputed", "export/segmentation.tif", "export/segmentation.h5"]
        write_json(tmp_path / place / "export.json", {"fingerprint": "f", "result": {"files": files}})
        found.append(digest_results(tmp_path / place / "export.json"))
    assert set(found[0]) == {"fingerprint", "precomputed", "segmentation.tif", "segmentation.h5"}
    assert found[0] == found[1]
    assert {name for name in found[0] if found[0][name] != found[2][name]} == {"precomputed"}
    assert found[0]["segmentation.tif"]["digest"] != found[0]["segmentation.h5"]["digest"]
