"""SWC files of a volume, and their digest, without the libraries that read skeletons."""

from pathlib import Path

from attacca.fingerprint import digest, digest_file


def list_swc_files(directory: Path, volume: str) -> list[Path]:
    """Return the SWC files of a volume, sorted by name: those of the directory's directory with the name of the volume."""
    found = (directory / volume).glob("*") if (directory / volume).is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() == ".swc" and path.is_file())


def digest_swc_files(directory: Path, volume: str) -> str:
    """Return a digest of the names and contents of the SWC files of a volume."""
    return digest({path.name: digest_file(path) for path in list_swc_files(directory, volume)})
